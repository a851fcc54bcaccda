import { x } from '@switchyard/contract';
import { HelloSchema } from './engine-link/generated/engine_pb.ts';

console.log(x, HelloSchema.typeName);

import { expect, test } from 'vitest';
import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import { CODECS } from './index.ts';

test('each codec of the contract with the engine has its half here, once', () => {
  const engines = Object.values(EngineCodec).filter(
    (value): value is EngineCodec => typeof value === 'number' && value !== EngineCodec.UNSPECIFIED,
  );
  expect(CODECS.map(({ engine }) => engine).sort()).toEqual(engines.sort());
});

/** The only part of control that knows the engine. */
export { isEngineLost } from './connection.ts';
export {
  type DataChannelChanged,
  DataChannelEnd,
  DataChannelState,
  DataTransportState,
  type Event,
  PublicationState,
  SessionEndReason,
  type SessionSnapshot,
  TransportState,
} from './generated/engine_pb.ts';
export {
  type Engine,
  type Placed,
  type SessionTable,
  type Supervisor,
  superviseEngine,
} from './supervisor.ts';

import { newInstanceId, type InstanceId } from '../../protocol/ids.ts'

/** What the pool draws by chance: an argument, so that a seed reproduces a run. */
export type PoolRandom = {
  readonly instanceId: () => InstanceId
  /** Where the numbers of streams begin, 32 bits: an agent may still hold streams of the process before this one. */
  readonly firstStream: () => number
  /** For the keyed hashes of requests that ended workers, 32 bytes. */
  readonly poisonSecret: () => Uint8Array
}

/** Nobody can foretell it. */
export const systemRandom: PoolRandom = {
  instanceId: newInstanceId,
  firstStream: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
  poisonSecret: () => crypto.getRandomValues(new Uint8Array(32)),
}

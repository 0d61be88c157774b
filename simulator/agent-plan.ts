import type { QuarantinedFile } from '../src/agent/death-records.ts'
import type { Enrolment } from '../src/agent/state-dir.ts'
import type { Inventory } from '../src/protocol/gpu.ts'
import type { Latency } from './pipe.ts'
import type { EngineManner } from './sim-engine.ts'

/** How often an agent does what it must not; all are probabilities, of each message. */
export type Lies = {
  /** A token frame is sent twice, or again much later, also into the next connection. */
  repeatsFrame: number
  /** A token frame is left out. */
  dropsFrame: number
  /** `finished` with another count. */
  miscounts: number
  /** An instance that it never was told to load, or that it does not hold any more. */
  inventsInstance: number
  /** Something that is no message at all. */
  babbles: number
}

export const honest = (): Lies => ({
  repeatsFrame: 0,
  dropsFrame: 0,
  miscounts: 0,
  inventsInstance: 0,
  babbles: 0,
})

/** What an agent's machine, network, engines and honesty are like; faults change it while the world runs. */
export type AgentPlan = {
  readonly name: string
  readonly enrolment: Pick<Enrolment, 'identity' | 'privateKeyPem'>
  readonly inventory: Inventory
  /** Memory that models can have. */
  memoryMb: number
  readonly latency: Latency
  /** Nothing gets through to the server, and nobody is told. */
  isCutOff: boolean
  temperatureC: number
  readonly idleUnloadMs: number
  /** A model that is not among its files is fetched. */
  readonly files: Set<string>
  readonly quarantined: QuarantinedFile[]
  fetchMs: number
  fetchFails: number
  readonly manner: EngineManner
  readonly lies: Lies
}

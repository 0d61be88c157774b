import type { Instant } from '../clock.ts'
import type { InstanceId, JobId } from '../protocol/ids.ts'
import type { Priority } from './priority.ts'

/** A request that found every slot busy. */
export type Waiting = {
  readonly jobId: JobId
  readonly model: string
  /** Whose it is: those who wait share by tenant. */
  readonly tenant: string
  readonly priority: Priority
  /** What it will probably take, in tokens of a prompt (token-cost.ts). */
  readonly costTokens: number
  /** Requests of one model and lane may go to the same agents, so where one finds no room, no other of the lane does. */
  readonly lane: string
  readonly since: Instant
  readonly spareInstanceId: InstanceId
}

import type { Waiting } from '../../src/scheduler/waiting.ts'
import { jobId, spare } from './scheduler-pool.ts'

/** One that waits, for tests of the queue alone. */
export const waiting = (job: string, change: Partial<Waiting> = {}): Waiting => ({
  jobId: jobId(job),
  model: 'tiny',
  tenant: 'somebody',
  priority: 'normal',
  costTokens: 100,
  lane: '',
  since: 0,
  spareInstanceId: spare(job),
  ...change,
})

export const numbers = (seed: number) => {
  let state = seed
  /** @returns an integer from 0 and below */
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

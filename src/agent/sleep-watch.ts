import type { Instant } from '../clock.ts'
import { agentLimits } from './agent-limits.ts'

/**
 * Notices that the machine slept: then the wall clock has moved on and the monotonic clock has not. (A wall clock that
 * somebody sets forward looks the same and costs one needless reconnect.)
 */
export class SleepWatch {
  #gapMs: number

  constructor(wall: Instant, monotonic: Instant) {
    this.#gapMs = wall - monotonic
  }

  /** @returns how long the machine slept since the last check, in milliseconds; 0 when it did not */
  check(wall: Instant, monotonic: Instant): number {
    const gapMs = wall - monotonic
    const sleptMs = gapMs - this.#gapMs
    this.#gapMs = gapMs
    return sleptMs > agentLimits.sleepNoticeMs ? sleptMs : 0
  }
}

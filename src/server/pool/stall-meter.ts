import type { Instant } from '../../clock.ts'

/** Timers are never exact; below this a tick was in time. */
const slackMs = 500

/**
 * How long this process itself stood still: a heartbeat that waited for it was not late. Told by ticks that should come at an
 * interval.
 */
export class StallMeter {
  readonly #intervalMs: number
  #lastTickAt: Instant | null = null
  #stalledMs = 0

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  tick(now: Instant): void {
    this.#stalledMs = this.total(now)
    this.#lastTickAt = now
  }

  /** Milliseconds stalled since the first tick, the stall that is just ending included; only differences mean something. */
  total(now: Instant): number {
    if (this.#lastTickAt === null) return this.#stalledMs
    const overdueMs = now - this.#lastTickAt - this.#intervalMs
    return this.#stalledMs + (overdueMs > slackMs ? overdueMs : 0)
  }
}

import type { Clock, Instant } from '../../src/clock.ts'
import type { StartTimer } from '../../src/server/api/timer.ts'

/** A clock and timers that move only when a test says so. */
export class ManualTime implements Clock {
  #now: Instant
  readonly #timers = new Set<{ readonly at: Instant; readonly fire: () => void }>()

  constructor(start: Instant) {
    this.#now = start
  }

  now(): Instant {
    return this.#now
  }

  get timersRunning(): number {
    return this.#timers.size
  }

  readonly startTimer: StartTimer = (delayMs, fire) => {
    const timer = { at: this.#now + delayMs, fire }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Moves time and fires what falls due, in order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#now = next.at
      next.fire()
    }
    this.#now = end
  }
}

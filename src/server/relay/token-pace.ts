import type { Instant } from '../../clock.ts'
import { limits } from '../../protocol/limits.ts'

/** Gaps that the median is taken of: a pause of half of them moves it, a single one never. */
const gapsKept = 15
/** Fewer gaps are no pace yet. */
const gapsMin = 4
/** Tokens that come closer together came together: an agent sends them in one message, or makes several at a time. */
const togetherMs = 5

/**
 * How fast a stream's tokens come, to know when it has stalled: the median of its last gaps. A token costs two stores; the
 * median is computed only when somebody asks, which nobody does before `stallMinMs` of silence.
 */
export class TokenPace {
  readonly #gapsMs = new Float32Array(gapsKept)
  #gaps = 0
  #lastAt: Instant | null = null

  /** Another agent makes the tokens from now on: it has another pace. */
  restart(): void {
    this.#gaps = 0
    this.#lastAt = null
  }

  /** When the last token came; null: none has. */
  get lastAt(): Instant | null {
    return this.#lastAt
  }

  arrived(now: Instant): void {
    if (this.#lastAt !== null) {
      const gapMs = now - this.#lastAt
      if (gapMs < togetherMs) return
      this.#gapsMs[this.#gaps++ % gapsKept] = gapMs
    }
    this.#lastAt = now
  }

  /** @returns milliseconds of silence after which the stream has stalled */
  stallAfterMs(): number {
    if (this.#gaps < gapsMin) return limits.stallUnknownPaceMs
    const gaps = this.#gapsMs.slice(0, Math.min(this.#gaps, gapsKept)).sort()
    const median = gaps[Math.floor(gaps.length / 2)] ?? 0
    return Math.max(limits.stallMinMs, limits.stallGapsRatio * median)
  }
}

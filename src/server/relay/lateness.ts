import type { Instant } from '../../clock.ts'
import { limits } from '../../protocol/limits.ts'
import type { SeekStandby } from './relay-command.ts'
import { TokenPace } from './token-pace.ts'

/** When an attempt is so late that a second agent may race it, and how often that is asked for. */
export class Lateness {
  readonly pace = new TokenPace()
  #firstTokenDueAt: Instant | null = null
  #askAt: Instant = -Infinity
  /** Since when its agent answers nothing; a token takes that back. */
  #silentAt: Instant | null = null
  /** The last token before the silence in which it was asked for; null: never yet. */
  #askedAfter: Instant | null = null

  /** Another attempt. @param firstTokenDueAt null: it may take its time */
  restart(firstTokenDueAt: Instant | null): void {
    this.pace.restart()
    this.#firstTokenDueAt = firstTokenDueAt
    this.#askAt = -Infinity
    this.#askedAfter = null
    this.#silentAt = null
  }

  /** The agent answers nothing. */
  silent(now: Instant): void {
    this.#silentAt = now
  }

  get #isSilent(): boolean {
    const { lastAt } = this.pace
    return this.#silentAt !== null && (lastAt === null || this.#silentAt > lastAt)
  }

  /** Whether it is more than merely slow. */
  get isStall(): boolean {
    return this.pace.lastAt !== null || this.#silentAt !== null
  }

  /** When it is late, or may be asked for again, unless a token comes before. */
  get lateAt(): Instant {
    if (this.#isSilent) return this.#askAt
    const { lastAt } = this.pace
    if (lastAt === null) return this.#firstTokenDueAt ?? Infinity
    return Math.max(lastAt + this.pace.stallAfterMs(), this.#askAt)
  }

  /** It is late: what to ask for. */
  ask(now: Instant): Pick<SeekStandby, 'reason' | 'again'> {
    const { lastAt } = this.pace
    this.#askAt = now + limits.stallAskIntervalMs
    if (this.#isSilent) return { reason: 'silent', again: false }
    if (lastAt === null) {
      // Hedging is a bet that is made once.
      this.#firstTokenDueAt = null
      return { reason: 'slow_start', again: false }
    }
    const again = this.#askedAfter === lastAt
    this.#askedAfter = lastAt
    return { reason: 'stalled', again }
  }
}

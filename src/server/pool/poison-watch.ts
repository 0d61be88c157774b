import type { Instant } from '../../clock.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { RequestContent } from './request-content.ts'

/** One worker that ended with jobs in it; all of those share the suspicion. */
export type WorkerDeath = {
  readonly agentId: AgentId
  readonly at: Instant
  /** Jobs that were in the worker. */
  readonly jobs: number
}

type Suspect<Death extends WorkerDeath> = {
  readonly deaths: Death[]
  /** Null: not yet. */
  quarantinedUntil: Instant | null
  lastDeathAt: Instant
}

/** Requests that are remembered; beyond it the one whose last death is oldest is forgotten. */
export const suspectsMax = 1_000
/** A request that ended one worker, and none for so long, is forgotten. */
export const suspectKeptMs = 60 * 60 * 1000
export const quarantineMs = 6 * 60 * 60 * 1000
/** Deaths that make a request poison. Each counts for as much as it cannot have been another job of that worker. */
const deathsMin = 2
const sharesMin = 1
/** Of one request that dies in company again and again. */
export const deathsKeptMax = 8

/**
 * Remembers which requests ended workers, so that one that ended two is not tried on a third, by whoever and as whatever job it
 * comes again. Kept in memory and by keyed hash, never by content; a request that completes is cleared. Pure but for the
 * hash: time is an argument.
 */
export class PoisonWatch<Death extends WorkerDeath> {
  readonly #secret: Uint8Array
  /** By the content's key, in the order of their last deaths. */
  readonly #suspects = new Map<string, Suspect<Death>>()

  constructor(secret: Uint8Array) {
    this.#secret = secret
  }

  get size(): number {
    return this.#suspects.size
  }

  /** @returns all deaths of the request, this one included, and whether it has just become poison */
  workerEnded(
    content: RequestContent,
    death: Death,
    now: Instant,
  ): { readonly deaths: readonly Death[]; readonly becamePoison: boolean } {
    const key = content.key(this.#secret)
    const suspect = this.#current(key, now) ?? newSuspect<Death>(now)
    // Several of the same in one worker died one death.
    if (!suspect.deaths.includes(death)) suspect.deaths.push(death)
    if (suspect.deaths.length > deathsKeptMax) suspect.deaths.shift()
    suspect.lastDeathAt = now
    this.#suspects.delete(key)
    this.#suspects.set(key, suspect)
    for (const oldest of this.#suspects.keys()) {
      if (this.#suspects.size <= suspectsMax) break
      this.#suspects.delete(oldest)
    }
    const becamePoison = suspect.quarantinedUntil === null && isPoison(suspect.deaths)
    if (becamePoison) suspect.quarantinedUntil = now + quarantineMs
    return { deaths: suspect.deaths, becamePoison }
  }

  /** It does no harm: whatever ended its worker before was something else. */
  completed(content: RequestContent): void {
    if (this.#suspects.size > 0) this.#suspects.delete(content.key(this.#secret))
  }

  /** @returns why the request is not run; null: it may be */
  refusal(content: RequestContent, now: Instant): Failure | null {
    if (this.#suspects.size === 0) return null
    const until = this.#current(content.key(this.#secret), now)?.quarantinedUntil ?? null
    if (until === null) return null
    const minutes = Math.max(1, Math.ceil((until - now) / 60_000))
    return {
      code: 'request_quarantined',
      message:
        'this request ended the processes that ran it, again and again, so no further machine is given it; ' +
        `change the request, or try it again in ${minutes} min`,
    }
  }

  #current(key: string, now: Instant): Suspect<Death> | undefined {
    const suspect = this.#suspects.get(key)
    if (suspect === undefined) return undefined
    const until = suspect.quarantinedUntil ?? suspect.lastDeathAt + suspectKeptMs
    if (now < until) return suspect
    this.#suspects.delete(key)
    return undefined
  }
}

const newSuspect = <Death extends WorkerDeath>(now: Instant): Suspect<Death> => ({
  deaths: [],
  quarantinedUntil: null,
  lastDeathAt: now,
})

const isPoison = (deaths: readonly WorkerDeath[]): boolean =>
  deaths.length >= deathsMin && deaths.reduce((sum, { jobs }) => sum + 1 / jobs, 0) >= sharesMin

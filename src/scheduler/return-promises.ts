import type { Instant } from '../clock.ts'
import type { Asker, FairQueue } from './fair-queue.ts'
import type { WaitEstimates } from './wait-estimates.ts'

type Promised = {
  /** Refused requests that were told when to come back, and will be back by `until`. */
  readonly count: number
  readonly until: Instant
}

/** Tenants whose refused requests are expected back; of further ones it is forgotten that they were refused. */
export const promisedTenantsMax = 1_000

/**
 * When a refused request may come back and get in: when so many of those in line have started that there is room for
 * it, and for those of its tenant that were told so before. Each is told another time, so that not all come at once.
 */
export class ReturnPromises {
  readonly #queue: FairQueue
  readonly #estimates: WaitEstimates
  readonly #promised = new Map<string, Promised>()

  constructor(queue: FairQueue, estimates: WaitEstimates) {
    this.#queue = queue
    this.#estimates = estimates
  }

  /** Tenants whose requests are expected back. */
  get tenantsHeld(): number {
    return this.#promised.size
  }

  /** @returns ms from now; null while nothing was measured */
  promise(model: string, asker: Asker, now: Instant): number | null {
    const { tenant } = asker
    const before = this.#promised.get(tenant)
    const expected = before !== undefined && before.until > now ? before.count : 0
    const waitMs = this.#roomAfterMs(model, asker, expected, now)
    if (waitMs === null) return null
    this.#promised.delete(tenant)
    this.#promised.set(tenant, {
      count: expected + 1,
      until: Math.max(before?.until ?? 0, now + waitMs),
    })
    const [oldest] = this.#promised.keys()
    if (this.#promised.size > promisedTenantsMax && oldest !== undefined)
      this.#promised.delete(oldest)
    return waitMs
  }

  /** The sooner of two things that both make room: starts of the tenant's own, and starts of anybody. */
  #roomAfterMs(model: string, asker: Asker, expected: number, now: Instant): number | null {
    const { own, any } = this.#queue.startsUntilRoom(asker.tenant, expected)
    const ownPlace = this.#queue.placeOf(model, asker, own)
    const waits = this.#queue
      .models()
      .filter(name => this.#queue.lengthFor(name) >= any)
      .map(name => this.#estimates.forModel(name, now)(any))
    if (ownPlace !== null) waits.push(this.#estimates.forModel(model, now)(ownPlace))
    const known = waits.filter(wait => wait !== null)
    return known.length === 0 ? null : Math.min(...known)
  }
}

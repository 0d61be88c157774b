import type { JobId } from '../protocol/ids.ts'
import type { Waiting } from './waiting.ts'

/** A tenant of the line: what it has had, and what it waits for. */
type Account = {
  readonly tenant: string
  /** The virtual counter: tokens that its requests have cost. Only differences between tenants count. */
  counter: number
  /** Requests that have begun and not ended; the end corrects the counter. */
  running: number
  /** In order of arrival within a lane. */
  readonly lanes: Map<string, Map<JobId, Numbered>>
}
type Numbered = { readonly waiting: Waiting; readonly number: number }

/** Tenants that neither wait nor run and had more than the others: they are remembered so far, then forgiven. */
export const accountsRememberedMax = 1_000

/**
 * Those that wait for one model in one class, fair between tenants by tokens: the tenant that has had least goes next.
 * This is the Virtual Token Counter with predicted lengths (Sheng et al., "Fairness in Serving Large Language Models",
 * OSDI '24, algorithms 2 and 3): a request is charged what it will probably cost when it begins, and the difference when
 * it ends. Of two tenants that both wait all the time, neither gets more than about two of the largest requests ahead.
 * A deficit round robin has the same bound but needs a quantum near the largest request, and then serves in bursts.
 *
 * A tenant that comes anew starts where the last request began, if it had less (the start-time rule of Goyal et al.,
 * "Start-time Fair Queuing", SIGCOMM '96): it hoards no credit while it is away, and still goes before one that has
 * just been served. Looking for the next one costs a step for each waiting tenant, never one for each request.
 */
export class TenantLine {
  readonly #accounts = new Map<string, Account>()
  /** Accounts with somebody in line. */
  readonly #inLine = new Set<Account>()
  /** Accounts without anybody in line or at work. */
  #idle = 0
  /** Counter of the tenant whose request began last, before it was charged. Never falls. */
  #startedAt = 0
  #arrivals = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Tenants that are kept: those in line, at work, and remembered. */
  get accountsHeld(): number {
    return this.#accounts.size
  }

  enter(waiting: Waiting): void {
    const account = this.#accountOf(waiting.tenant)
    if (!this.#inLine.has(account)) account.counter = Math.max(account.counter, this.#startedAt)
    const lane = account.lanes.get(waiting.lane) ?? new Map<JobId, Numbered>()
    account.lanes.set(waiting.lane, lane)
    lane.set(waiting.jobId, { waiting, number: this.#arrivals++ })
    this.#inLine.add(account)
    this.#length++
  }

  /** Who goes next, lanes without room left out. */
  next(blocked: ReadonlySet<string>): Waiting | undefined {
    let best: Numbered | undefined
    let bestCounter = Infinity
    for (const account of this.#inLine) {
      if (account.counter > bestCounter) continue
      const first = firstOf(account, blocked)
      if (first === undefined) continue
      if (best !== undefined && account.counter === bestCounter && first.number > best.number)
        continue
      best = first
      bestCounter = account.counter
    }
    return best?.waiting
  }

  leave(waiting: Waiting): void {
    const account = this.#accounts.get(waiting.tenant)
    const lane = account?.lanes.get(waiting.lane)
    if (account === undefined || lane?.delete(waiting.jobId) !== true) return
    this.#length--
    if (lane.size === 0) account.lanes.delete(waiting.lane)
    if (account.lanes.size > 0) return
    this.#inLine.delete(account)
    this.#rest(account)
    if (this.#inLine.size === 0) this.#forgive(0)
  }

  /** A request of the tenant begins, whether it stood in line or found a slot free. */
  begun(tenant: string, costTokens: number): void {
    const account = this.#accountOf(tenant)
    if (!this.#inLine.has(account)) account.counter = Math.max(account.counter, this.#startedAt)
    this.#startedAt = Math.max(this.#startedAt, account.counter)
    account.counter += costTokens
    account.running++
  }

  /** @param correctionTokens what it cost beyond what it was charged; negative when it cost less */
  ended(tenant: string, correctionTokens: number): void {
    const account = this.#accounts.get(tenant)
    if (account === undefined) return
    account.counter += correctionTokens
    account.running--
    this.#rest(account)
  }

  /** All that wait, in the order in which they would go if nobody came. */
  order(): readonly Waiting[] {
    const places: { readonly startsAt: number; readonly number: number; waiting: Waiting }[] = []
    for (const account of this.#inLine) {
      let startsAt = account.counter
      for (const { waiting, number } of allOf(account)) {
        places.push({ startsAt, number, waiting })
        startsAt += waiting.costTokens
      }
    }
    places.sort((a, b) => a.startsAt - b.startsAt || a.number - b.number)
    return places.map(({ waiting }) => waiting)
  }

  #accountOf(tenant: string): Account {
    const known = this.#accounts.get(tenant)
    if (known !== undefined) {
      if (isIdle(known)) this.#idle--
      return known
    }
    const account: Account = { tenant, counter: 0, running: 0, lanes: new Map() }
    this.#accounts.set(tenant, account)
    return account
  }

  /**
   * Forgets a tenant that neither waits nor runs, if that makes no difference: it had no more than it would start with
   * again, or nobody waits, so that nobody takes anything from anybody.
   */
  #rest(account: Account): void {
    if (!isIdle(account)) return
    // At the end, so that those who rest are in the order in which they began to.
    this.#accounts.delete(account.tenant)
    if (this.#inLine.size === 0 || account.counter <= this.#startedAt) return
    this.#accounts.set(account.tenant, account)
    this.#idle++
    if (this.#idle > accountsRememberedMax) this.#forgive(accountsRememberedMax)
  }

  #forgive(remembered: number): void {
    for (const account of this.#accounts.values()) {
      if (this.#idle <= remembered) return
      if (!isIdle(account)) continue
      this.#accounts.delete(account.tenant)
      this.#idle--
    }
  }
}

const isIdle = ({ running, lanes }: Account): boolean => running === 0 && lanes.size === 0

function firstOf({ lanes }: Account, blocked: ReadonlySet<string>): Numbered | undefined {
  let first: Numbered | undefined
  for (const [lane, waiting] of lanes) {
    if (blocked.has(lane)) continue
    const [head] = waiting.values()
    if (head !== undefined && (first === undefined || head.number < first.number)) first = head
  }
  return first
}

function allOf({ lanes }: Account): readonly Numbered[] {
  const all = [...lanes.values()].flatMap(lane => [...lane.values()])
  return lanes.size > 1 ? all.sort((a, b) => a.number - b.number) : all
}

import { TenantAccount, type Numbered } from './tenant-account.ts'
import type { Waiting } from './waiting.ts'

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
  readonly #accounts = new Map<string, TenantAccount>()
  /** Accounts with somebody in line. */
  readonly #inLine = new Set<TenantAccount>()
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

  /** Of one tenant. */
  lengthOf(tenant: string): number {
    return this.#accounts.get(tenant)?.length ?? 0
  }

  enter(waiting: Waiting): void {
    const account = this.#accountOf(waiting.tenant)
    if (!account.isInLine) account.counter = Math.max(account.counter, this.#startedAt)
    account.enter(waiting, this.#arrivals++)
    this.#inLine.add(account)
    this.#length++
  }

  /** Who goes next, lanes without room left out. */
  next(blocked: ReadonlySet<string>): Waiting | undefined {
    let best: Numbered | undefined
    let bestCounter = Infinity
    for (const account of this.#inLine) {
      const { counter } = account
      if (counter > bestCounter) continue
      const first = account.first(blocked)
      if (first === undefined) continue
      if (best !== undefined && counter === bestCounter && first.number > best.number) continue
      best = first
      bestCounter = counter
    }
    return best?.waiting
  }

  leave(waiting: Waiting): void {
    const account = this.#accounts.get(waiting.tenant)
    if (account?.leave(waiting) !== true) return
    this.#length--
    if (account.isInLine) return
    this.#inLine.delete(account)
    this.#rest(account)
    if (this.#inLine.size === 0) this.#forgive(0)
  }

  /** A request of the tenant begins, whether it stood in line or found a slot free. */
  begun(tenant: string, costTokens: number): void {
    const account = this.#accountOf(tenant)
    if (!account.isInLine) account.counter = Math.max(account.counter, this.#startedAt)
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
    const places: (Numbered & { readonly startsAt: number })[] = []
    for (const account of this.#inLine) {
      let startsAt = account.counter
      for (const { waiting, number } of account.all()) {
        places.push({ startsAt, number, waiting })
        startsAt += waiting.costTokens
      }
    }
    places.sort((a, b) => a.startsAt - b.startsAt || a.number - b.number)
    return places.map(({ waiting }) => waiting)
  }

  /** @returns how many would go before the tenant's n-th (from 1) if nobody came; null when so many do not wait */
  before(tenant: string, nth: number): number | null {
    const account = this.#accounts.get(tenant)
    let startsAt = account?.counter ?? 0
    let left = nth
    for (const { waiting, number } of account?.all() ?? []) {
      if (--left === 0) return this.#countBefore(startsAt, number)
      startsAt += waiting.costTokens
    }
    return null
  }

  #countBefore(startsAt: number, number: number): number {
    let count = 0
    for (const account of this.#inLine) {
      let at = account.counter
      if (at > startsAt) continue
      for (const other of account.all()) {
        if (at > startsAt || (at === startsAt && other.number >= number)) break
        count++
        at += other.waiting.costTokens
      }
    }
    return count
  }

  #accountOf(tenant: string): TenantAccount {
    const known = this.#accounts.get(tenant)
    if (known !== undefined) {
      if (known.isIdle) this.#idle--
      return known
    }
    const account = new TenantAccount(tenant)
    this.#accounts.set(tenant, account)
    return account
  }

  /**
   * Forgets a tenant that neither waits nor runs, if that makes no difference: it had no more than it would start with
   * again, or nobody waits, so that nobody takes anything from anybody.
   */
  #rest(account: TenantAccount): void {
    if (!account.isIdle) return
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
      if (!account.isIdle) continue
      this.#accounts.delete(account.tenant)
      this.#idle--
    }
  }
}

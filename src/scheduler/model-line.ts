import type { JobId } from '../protocol/ids.ts'
import { priorities, type Priority } from './priority.ts'
import { TenantLine } from './tenant-line.ts'
import type { Waiting } from './waiting.ts'

/**
 * Starts of other classes that a waiting class lets pass before it goes next itself, so that none starves: while they
 * wait, the low class gets one start in 17 and the normal class at least one in 6.
 */
export const passedMax: Readonly<Record<Priority, number>> = { high: Infinity, normal: 4, low: 16 }

/** How often each class was passed over since it last had a turn. */
type Passed = Record<Priority, number>

/** Those that wait for one model: interrupted ones, then by class, then fair between tenants. */
export class ModelLine {
  readonly #interrupted = new Map<JobId, Waiting>()
  readonly #classes: Readonly<Record<Priority, TenantLine>> = {
    high: new TenantLine(),
    normal: new TenantLine(),
    low: new TenantLine(),
  }
  #passed: Passed = { high: 0, normal: 0, low: 0 }

  get length(): number {
    return this.#interrupted.size + priorities.reduce((sum, name) => sum + this.lengthOf(name), 0)
  }

  /** Interrupted ones left out. */
  lengthOf(priority: Priority): number {
    return this.#classes[priority].length
  }

  /** Nothing is kept here any more. */
  get isForgettable(): boolean {
    return (
      this.#interrupted.size === 0 &&
      priorities.every(name => this.#classes[name].accountsHeld === 0)
    )
  }

  enter(waiting: Waiting): void {
    this.#classes[waiting.priority].enter(waiting)
  }

  /** A stream that was interrupted has begun and is charged: it only wants to go on. */
  enterInterrupted(waiting: Waiting): void {
    this.#interrupted.set(waiting.jobId, waiting)
  }

  /** In the order in which they were interrupted; they may leave meanwhile. */
  interrupted(): Iterable<Waiting> {
    return this.#interrupted.values()
  }

  /** Who goes next of those that were not interrupted, lanes without room left out. */
  next(blocked: ReadonlySet<string>): Waiting | undefined {
    const heads = new Map(priorities.map(name => [name, this.#classes[name].next(blocked)]))
    const turn = nextClass(name => heads.get(name) !== undefined, this.#passed)
    return turn === undefined ? undefined : heads.get(turn)
  }

  /** It has found a slot. */
  begin(waiting: Waiting): void {
    if (this.#interrupted.delete(waiting.jobId)) return
    const line = this.#classes[waiting.priority]
    line.begun(waiting.tenant, waiting.costTokens)
    line.leave(waiting)
    this.#passed = passedAfter(waiting.priority, name => this.lengthOf(name) > 0, this.#passed)
  }

  /** It waits no longer, without having found a slot. */
  leave(waiting: Waiting): void {
    if (this.#interrupted.delete(waiting.jobId)) return
    this.#classes[waiting.priority].leave(waiting)
    if (this.lengthOf(waiting.priority) === 0) this.#passed[waiting.priority] = 0
  }

  /** A request found a slot without waiting. */
  begun({ tenant, priority, costTokens }: Charge): void {
    this.#classes[priority].begun(tenant, costTokens)
  }

  /** @param correctionTokens what it cost beyond `costTokens` */
  ended({ tenant, priority }: Charge, correctionTokens: number): void {
    this.#classes[priority].ended(tenant, correctionTokens)
  }

  /** The place, from 1, of one that has just entered. */
  placeOfNew({ jobId, tenant, priority }: Waiting): number {
    if (this.#interrupted.has(jobId)) return this.#interrupted.size
    const nth = this.#classes[priority].lengthOf(tenant)
    return this.placeOf(tenant, priority, nth) ?? this.length
  }

  /**
   * The place, from 1, that a tenant's n-th request (from 1) of a class has in `order()`, at a fraction of what that
   * costs.
   * @returns null when so many do not wait
   */
  placeOf(tenant: string, priority: Priority, nth: number): number | null {
    const before = this.#classes[priority].before(tenant, nth)
    if (before === null) return null
    if (this.length === this.#interrupted.size + this.lengthOf(priority))
      return this.#interrupted.size + before + 1
    const taken: Record<Priority, number> = { high: 0, normal: 0, low: 0 }
    const waits = (name: Priority) => taken[name] < this.lengthOf(name)
    let passed = this.#passed
    for (let place = this.#interrupted.size + 1; ; place++) {
      const turn = nextClass(waits, passed)
      if (turn === undefined || (turn === priority && taken[turn] === before)) return place
      taken[turn]++
      passed = passedAfter(turn, waits, passed)
    }
  }

  /** All that wait, in the order in which they would go if nobody came and every lane had room. */
  order(): readonly Waiting[] {
    const order = [...this.#interrupted.values()]
    const lines = new Map(priorities.map(name => [name, this.#classes[name].order()]))
    const taken: Record<Priority, number> = { high: 0, normal: 0, low: 0 }
    const waits = (name: Priority) => taken[name] < (lines.get(name)?.length ?? 0)
    let passed = this.#passed
    for (;;) {
      const turn = nextClass(waits, passed)
      const waiting = turn === undefined ? undefined : lines.get(turn)?.[taken[turn]]
      if (turn === undefined || waiting === undefined) return order
      order.push(waiting)
      taken[turn]++
      passed = passedAfter(turn, waits, passed)
    }
  }
}

/** What a request was charged when it began, and to whom. */
export type Charge = Pick<Waiting, 'tenant' | 'priority' | 'costTokens'>

function nextClass(
  waits: (priority: Priority) => boolean,
  passed: Readonly<Passed>,
): Priority | undefined {
  const due = lastFirst.find(name => waits(name) && passed[name] >= passedMax[name])
  return due ?? priorities.find(waits)
}

const lastFirst = priorities.toReversed()

function passedAfter(
  turn: Priority,
  waits: (priority: Priority) => boolean,
  passed: Readonly<Passed>,
): Passed {
  const after = (name: Priority) => (name === turn || !waits(name) ? 0 : passed[name] + 1)
  return { high: after('high'), normal: after('normal'), low: after('low') }
}

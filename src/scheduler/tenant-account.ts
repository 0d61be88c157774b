import type { JobId } from '../protocol/ids.ts'
import type { Waiting } from './waiting.ts'

/** One that waits, and the how manyth it is that came. */
export type Numbered = { readonly waiting: Waiting; readonly number: number }

/** A tenant of a line: what it has had, and what it waits for. */
export class TenantAccount {
  readonly tenant: string
  /** Tokens that its requests have cost. Only differences between tenants count. */
  counter = 0
  /** Requests that have begun and not ended; the end corrects the counter. */
  running = 0
  /** In order of arrival within a lane. */
  readonly #lanes = new Map<string, Map<JobId, Numbered>>()
  #length = 0
  /** The one that waits longest. */
  #head: Numbered | undefined

  constructor(tenant: string) {
    this.tenant = tenant
  }

  /** Requests in line. */
  get length(): number {
    return this.#length
  }

  get isInLine(): boolean {
    return this.#length > 0
  }

  get isIdle(): boolean {
    return this.running === 0 && !this.isInLine
  }

  enter(waiting: Waiting, number: number): void {
    const lane = this.#lanes.get(waiting.lane) ?? new Map<JobId, Numbered>()
    this.#lanes.set(waiting.lane, lane)
    const numbered = { waiting, number }
    lane.set(waiting.jobId, numbered)
    this.#head ??= numbered
    this.#length++
  }

  /** @returns false when it does not wait */
  leave({ jobId, lane: name }: Waiting): boolean {
    const lane = this.#lanes.get(name)
    if (lane?.delete(jobId) !== true) return false
    this.#length--
    if (lane.size === 0) this.#lanes.delete(name)
    if (this.#head?.waiting.jobId === jobId) this.#head = this.#firstBeside(nothing)
    return true
  }

  /** The one that waits longest, lanes without room left out. */
  first(blocked: ReadonlySet<string>): Numbered | undefined {
    if (this.#head === undefined || !blocked.has(this.#head.waiting.lane)) return this.#head
    return this.#firstBeside(blocked)
  }

  /** In order of arrival. */
  all(): Iterable<Numbered> {
    const [first, ...others] = this.#lanes.values()
    if (first === undefined) return []
    if (others.length === 0) return first.values()
    const all = [first, ...others].flatMap(lane => [...lane.values()])
    return all.sort((a, b) => a.number - b.number)
  }

  #firstBeside(blocked: ReadonlySet<string>): Numbered | undefined {
    let first: Numbered | undefined
    for (const [name, lane] of this.#lanes) {
      if (blocked.has(name)) continue
      const [head] = lane.values()
      if (head !== undefined && (first === undefined || head.number < first.number)) first = head
    }
    return first
  }
}

const nothing: ReadonlySet<string> = new Set()

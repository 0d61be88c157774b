import type { Instant } from '../clock.ts'
import type { JobId } from '../protocol/ids.ts'
import { ModelLine, type Charge } from './model-line.ts'
import type { Waiting } from './waiting.ts'

/** Requests that may wait at the same time, all models together; further ones are refused at once. */
export const waitingLengthMax = 1_000
/** The longest wait; a client that has waited this long gets an error instead of silence. */
export const waitingTimeMaxMs = 300_000

/** Whose request, and of which class. */
export type Asker = Pick<Waiting, 'tenant' | 'priority'>

/** Places in a model's line, from 1. */
export type Places = {
  readonly model: string
  readonly places: readonly { readonly jobId: JobId; readonly position: number }[]
}

/**
 * Requests that found every slot busy: a line for each model, and the bounds of all together.
 *
 * A tenant may have as many requests in line as there is room left (Choudhury and Hahne, "Dynamic queue length
 * thresholds for shared-memory packet switches", 1998): alone it fills half of the line, two fill two thirds, and
 * however many fill it, there is room for one that comes anew.
 */
export class FairQueue {
  readonly #lines = new Map<string, ModelLine>()
  /** In order of arrival, so that those who have waited too long are the first. */
  readonly #waiting = new Map<JobId, Waiting>()
  readonly #lengthByTenant = new Map<string, number>()
  /** In the order in which somebody began to wait for them. */
  readonly #lengthByModel = new Map<string, number>()
  /** Lines whose order may be another than was told, with the places as they were told. */
  readonly #changed = new Set<string>()
  readonly #told = new Map<JobId, number>()

  get length(): number {
    return this.#waiting.size
  }

  /** Models that something is kept of. */
  get linesHeld(): number {
    return this.#lines.size
  }

  /** Everybody, in order of arrival. */
  all(): Iterable<Waiting> {
    return this.#waiting.values()
  }

  /** The names that are waited for, longest first. */
  models(): readonly string[] {
    return [...this.#lengthByModel.keys()]
  }

  lengthFor(model: string): number {
    return this.#lengthByModel.get(model) ?? 0
  }

  /**
   * @param expected refused ones of the tenant that will be back first
   * @returns how many of its own, or of all, in line must start before another one of the tenant may enter
   */
  startsUntilRoom(tenant: string, expected = 0): { readonly own: number; readonly any: number } {
    const own = this.#ownOf(tenant) + expected
    const room = this.#room - expected
    if (own < room) return { own: 0, any: 0 }
    // Each that starts makes the room greater by one, and if it is its own, the tenant's part smaller by one.
    return { own: Math.floor((own - room) / 2) + 1, any: own - room + 1 }
  }

  /** @returns false when the line, or the tenant's part of it, is full */
  enter(waiting: Waiting): boolean {
    if (this.#ownOf(waiting.tenant) >= this.#room) return false
    this.#keep(waiting)
    this.#lineOf(waiting.model).enter(waiting)
    return true
  }

  /** Before all that have not begun, also into a full line. */
  enterInterrupted(waiting: Waiting): void {
    this.#keep(waiting)
    this.#lineOf(waiting.model).enterInterrupted(waiting)
  }

  /** Those of a model's line that were interrupted, in their order; they may leave meanwhile. */
  interrupted(model: string): Iterable<Waiting> {
    return this.#lines.get(model)?.interrupted() ?? []
  }

  /** Who goes next of the others. */
  next(model: string, blocked: ReadonlySet<string>): Waiting | undefined {
    return this.#lines.get(model)?.next(blocked)
  }

  /** One that waits has found a slot. */
  begin(waiting: Waiting): void {
    this.#drop(waiting)
    this.#lines.get(waiting.model)?.begin(waiting)
  }

  /** @returns false when the job does not wait */
  leave(jobId: JobId): boolean {
    const waiting = this.#waiting.get(jobId)
    if (waiting === undefined) return false
    this.#drop(waiting)
    this.#lines.get(waiting.model)?.leave(waiting)
    this.#forget(waiting.model)
    return true
  }

  /** A request found a slot without waiting. */
  begun(model: string, charge: Charge): void {
    this.#lineOf(model).begun(charge)
  }

  /** @param costTokens what it has cost; null: as much as it was charged */
  ended(model: string, charge: Charge, costTokens: number | null): void {
    if (this.lengthFor(model) > 0) this.#changed.add(model)
    this.#lines.get(model)?.ended(charge, (costTokens ?? charge.costTokens) - charge.costTokens)
    this.#forget(model)
  }

  /** All that wait for a model, in the order in which they would go if nobody came. */
  order(model: string): readonly Waiting[] {
    return this.#lines.get(model)?.order() ?? []
  }

  /** The place of one that has just entered. */
  placeOfNew(waiting: Waiting): number {
    const position = this.#lineOf(waiting.model).placeOfNew(waiting)
    this.#told.set(waiting.jobId, position)
    return position
  }

  /** The place of a tenant's n-th, from 1, of a class; null when so many do not wait for the model. */
  placeOf(model: string, { tenant, priority }: Asker, nth: number): number | null {
    return this.#lines.get(model)?.placeOf(tenant, priority, nth) ?? null
  }

  /** The places that are other ones than were told; they count as told now. */
  news(): readonly Places[] {
    const news = [...this.#changed].map(model => ({ model, places: this.#newPlaces(model) }))
    this.#changed.clear()
    return news
  }

  #newPlaces(model: string): Places['places'] {
    const places = []
    for (const [index, { jobId }] of this.order(model).entries()) {
      const position = index + 1
      if (this.#told.get(jobId) === position) continue
      this.#told.set(jobId, position)
      places.push({ jobId, position })
    }
    return places
  }

  /** Those that have waited too long. */
  overdue(now: Instant): readonly Waiting[] {
    const overdue: Waiting[] = []
    for (const waiting of this.#waiting.values()) {
      if (now - waiting.since < waitingTimeMaxMs) break
      overdue.push(waiting)
    }
    return overdue
  }

  get #room(): number {
    return waitingLengthMax - this.#waiting.size
  }

  #ownOf(tenant: string): number {
    return this.#lengthByTenant.get(tenant) ?? 0
  }

  #lineOf(model: string): ModelLine {
    let line = this.#lines.get(model)
    if (line === undefined) this.#lines.set(model, (line = new ModelLine()))
    return line
  }

  #forget(model: string): void {
    if (this.#lines.get(model)?.isForgettable === true) this.#lines.delete(model)
  }

  #keep(waiting: Waiting): void {
    this.#waiting.set(waiting.jobId, waiting)
    count(this.#lengthByTenant, waiting.tenant, 1)
    count(this.#lengthByModel, waiting.model, 1)
    this.#changed.add(waiting.model)
  }

  #drop({ jobId, model, tenant }: Waiting): void {
    this.#waiting.delete(jobId)
    this.#told.delete(jobId)
    count(this.#lengthByTenant, tenant, -1)
    count(this.#lengthByModel, model, -1)
    this.#changed.add(model)
  }
}

/** A name without anybody is forgotten. */
function count(lengths: Map<string, number>, name: string, change: 1 | -1): void {
  const length = (lengths.get(name) ?? 0) + change
  if (length > 0) lengths.set(name, length)
  else lengths.delete(name)
}

import type { Instant } from '../clock.ts'
import type { InstanceId, JobId } from '../protocol/ids.ts'

export type Waiting = {
  readonly jobId: JobId
  readonly model: string
  readonly since: Instant
  readonly spareInstanceId: InstanceId
}

/** Requests that may wait at the same time, all models together; further ones are refused at once. */
export const waitingLineLengthMax = 1_000
/** The longest wait; a client that has waited this long gets an error instead of silence. */
export const waitingTimeMaxMs = 300_000

/** Requests that found every slot busy, first come first served within a model. */
export class WaitingLine {
  readonly #byModel = new Map<string, Map<JobId, Waiting>>()
  #length = 0

  get length(): number {
    return this.#length
  }

  /** @returns the place in its model's line from 1, or null when the line is full */
  add(waiting: Waiting): number | null {
    if (this.#length >= waitingLineLengthMax) return null
    const line = this.#byModel.get(waiting.model) ?? new Map<JobId, Waiting>()
    this.#byModel.set(waiting.model, line)
    line.set(waiting.jobId, waiting)
    this.#length++
    return line.size
  }

  /** To the front, also of a full line: a stream that was interrupted goes before those that have not begun. */
  addFirst(waiting: Waiting): void {
    const line = this.#byModel.get(waiting.model) ?? new Map<JobId, Waiting>()
    this.#byModel.set(waiting.model, new Map([[waiting.jobId, waiting], ...line]))
    this.#length++
  }

  /** @returns false when the job does not wait */
  remove(model: string, jobId: JobId): boolean {
    const line = this.#byModel.get(model)
    if (line === undefined || !line.delete(jobId)) return false
    this.#length--
    if (line.size === 0) this.#byModel.delete(model)
    return true
  }

  models(): readonly string[] {
    return [...this.#byModel.keys()]
  }

  /** Those that wait for a model, in their order; they may be removed meanwhile. */
  of(model: string): Iterable<Waiting> {
    return this.#byModel.get(model)?.values() ?? []
  }

  /** Those that have waited too long. */
  overdue(now: Instant): readonly Waiting[] {
    const overdue: Waiting[] = []
    for (const line of this.#byModel.values())
      for (const waiting of line.values()) {
        if (now - waiting.since >= waitingTimeMaxMs) overdue.push(waiting)
      }
    return overdue
  }
}

import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { JobId } from '../protocol/ids.ts'
import type { SchedulerCommand } from './command.ts'
import { FairQueue } from './fair-queue.ts'
import type { Charge } from './model-line.ts'
import { priorities, type Priority } from './priority.ts'
import { ReturnPromises } from './return-promises.ts'
import { WaitEstimates } from './wait-estimates.ts'
import type { Waiting } from './waiting.ts'

/** Those who wait hear of a new place no more often than this. */
const placesToldIntervalMs = 2_000

/** Those of one class that wait for one model. */
export type QueueRow = {
  readonly model: string
  readonly priority: Priority
  readonly waiting: number
  readonly tenants: number
  /** Of the one that waits longest, ms. */
  readonly longestMs: number
  /** Until the last of the model's whole line starts, ms; null while nothing was measured. */
  readonly emptyMs: number | null
}

/** The queue and what those in it, and those refused by it, are told. */
export class WaitingRoom {
  readonly queue = new FairQueue()
  readonly #estimates = new WaitEstimates()
  readonly #promises = new ReturnPromises(this.queue, this.#estimates)
  #placesToldAt: Instant = 0

  /** @returns what its client is told; a Failure when it may not wait */
  enter(waiting: Waiting, now: Instant): SchedulerCommand | Failure {
    if (this.queue.enter(waiting)) return this.#place(waiting, this.queue.placeOfNew(waiting), now)
    return queueFull(this.#promises.promise(waiting.model, waiting, now))
  }

  enterInterrupted(waiting: Waiting, now: Instant): SchedulerCommand {
    this.queue.enterInterrupted(waiting)
    return this.#place(waiting, this.queue.placeOfNew(waiting), now)
  }

  /** A job has got a slot. */
  began(model: string, jobId: JobId, now: Instant): void {
    this.#estimates.began(model, jobId, now)
  }

  /** It has lost its slot and wants another. */
  interrupted(model: string, jobId: JobId): void {
    this.#estimates.interrupted(model, jobId)
  }

  /** A job that once began is over, however it ended. `costTokens` null: it cost what was expected. */
  ended(
    model: string,
    job: Charge & { readonly jobId: JobId },
    costTokens: number | null,
    now: Instant,
  ): void {
    this.#estimates.ended(model, job.jobId, now)
    this.queue.ended(model, job, costTokens)
  }

  keepOnly(isWanted: (model: string) => boolean): void {
    this.#estimates.keepOnly(isWanted)
  }

  /** Takes those out that have waited too long. */
  takeOverdue(now: Instant): readonly { readonly jobId: JobId; readonly error: Failure }[] {
    return this.queue.overdue(now).map(({ jobId, model }) => {
      const retryAfterMs = this.#estimates.forModel(model, now)(this.queue.lengthFor(model))
      this.queue.leave(jobId)
      return { jobId, error: overdue(retryAfterMs) }
    })
  }

  /** Tells new places, now and then. */
  news(now: Instant): readonly SchedulerCommand[] {
    if (now - this.#placesToldAt < placesToldIntervalMs) return []
    this.#placesToldAt = now
    return this.queue.news().flatMap(({ model, places }) => {
      const estimate = this.#estimates.forModel(model, now)
      return places.map(({ jobId, position }) => ({
        type: 'queued' as const,
        jobId,
        position,
        estimateMs: estimate(position),
      }))
    })
  }

  /** By model, then by class; for display. */
  rows(now: Instant): readonly QueueRow[] {
    const groups = Map.groupBy(this.queue.all(), ({ model, priority }) => `${priority} ${model}`)
    return this.queue.models().flatMap(model => {
      const emptyMs = this.#estimates.forModel(model, now)(this.queue.lengthFor(model))
      return priorities.flatMap(priority => {
        const group = groups.get(`${priority} ${model}`)
        const [first] = group ?? []
        if (group === undefined || first === undefined) return []
        const tenants = new Set(group.map(({ tenant }) => tenant)).size
        const longestMs = now - first.since
        return [{ model, priority, waiting: group.length, tenants, longestMs, emptyMs }]
      })
    })
  }

  #place({ jobId, model }: Waiting, position: number, now: Instant): SchedulerCommand {
    const estimateMs = this.#estimates.forModel(model, now)(position)
    return { type: 'queued', jobId, position, estimateMs }
  }
}

const queueFull = (retryAfterMs: number | null): Failure => ({
  code: 'queue_full',
  message: 'too many requests are waiting already; try again later',
  ...retryIn(retryAfterMs),
})

const overdue = (retryAfterMs: number | null): Failure => ({
  code: 'timeout',
  message: 'every slot stayed busy for too long; try again later',
  ...retryIn(retryAfterMs),
})

const retryIn = (ms: number | null) => (ms === null ? {} : { retryAfterMs: ms })

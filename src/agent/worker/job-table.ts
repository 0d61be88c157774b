import type { EngineTask } from '../engine/engine.ts'

/** Jobs that may wait for a slot. The server sends about as many as there are slots; more means that it is confused. */
export const jobsWaitingMax = 256

/** One job in the worker. `cancelled` is looked at between tokens, or between inputs. */
export type JobEntry<Job extends EngineTask = EngineTask> = {
  readonly job: Job
  cancelled: boolean
}

/**
 * Who runs and who waits, in order of arrival. At most as many jobs run as there are slots; before the
 * model is loaded there are none, and everybody waits.
 */
export class JobTable {
  readonly #run: (entry: JobEntry) => Promise<void>
  #freeSlots = 0
  readonly #waiting: JobEntry[] = []
  readonly #running = new Set<JobEntry>()

  /** @param run runs a job in one of the slots; resolves when it is free again, and never rejects */
  constructor(run: (entry: JobEntry) => Promise<void>) {
    this.#run = run
  }

  /** The model is loaded. */
  open(slots: number): void {
    this.#freeSlots = slots
    this.#startWaiting()
  }

  /** @returns false when too many wait already */
  add(job: EngineTask): boolean {
    if (this.#waiting.length >= jobsWaitingMax) return false
    this.#waiting.push({ job, cancelled: false })
    this.#startWaiting()
    return true
  }

  /** Drops a waiting job, marks a running one. An unknown one has just ended. */
  cancel(stream: number, attempt: number): void {
    const isIt = ({ job }: JobEntry) => job.stream === stream && job.attempt === attempt
    const at = this.#waiting.findIndex(isIt)
    if (at !== -1) this.#waiting.splice(at, 1)
    for (const entry of this.#running) if (isIt(entry)) entry.cancelled = true
  }

  /** Empties the queue, for when no slot will ever be free. */
  takeWaiting(): readonly EngineTask[] {
    return this.#waiting.splice(0).map(entry => entry.job)
  }

  #startWaiting(): void {
    while (this.#freeSlots > 0) {
      const entry = this.#waiting.shift()
      if (entry === undefined) return
      this.#freeSlots--
      this.#running.add(entry)
      void this.#run(entry).then(() => {
        this.#running.delete(entry)
        this.#freeSlots++
        this.#startWaiting()
      })
    }
  }
}

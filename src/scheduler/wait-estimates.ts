import type { Instant } from '../clock.ts'
import type { JobId } from '../protocol/ids.ts'

type Pace = {
  /** How long a request holds its slot, a moving average; null until one has ended. */
  slotMs: number | null
  /** Those at work and since when, longest first. */
  readonly running: Map<JobId, Instant>
}

/** What the newest request counts in the average; the one before it 0.8 of that, and so on. */
const newestShare = 0.2
/** A request that holds its slot for longer than usual is taken to need this share of the usual time yet. */
const remainingShareMin = 0.25

/**
 * How long one that waits will wait, by how long requests for the same model hold their slots.
 *
 * With s requests at work, each held for `slotMs` on average, the slots come free in the order in which they were
 * taken: the r-th of them (from 1) after its rest, `max(slotMs − age, slotMs / 4)`, and again every `slotMs`. Place p
 * starts with the p-th of these: `rest((p − 1) mod s + 1) + floor((p − 1) / s) × slotMs`.
 */
export class WaitEstimates {
  readonly #paces = new Map<string, Pace>()

  began(model: string, jobId: JobId, now: Instant): void {
    let pace = this.#paces.get(model)
    if (pace === undefined) this.#paces.set(model, (pace = { slotMs: null, running: new Map() }))
    pace.running.set(jobId, now)
  }

  /** Its slot was lost; how long it was held says nothing. */
  interrupted(model: string, jobId: JobId): void {
    this.#paces.get(model)?.running.delete(jobId)
  }

  /** Its slot is free, however it ended. */
  ended(model: string, jobId: JobId, now: Instant): void {
    const pace = this.#paces.get(model)
    const since = pace?.running.get(jobId)
    if (pace === undefined || since === undefined) return
    pace.running.delete(jobId)
    const heldMs = now - since
    pace.slotMs = pace.slotMs === null ? heldMs : pace.slotMs + newestShare * (heldMs - pace.slotMs)
  }

  /** Forgets models that are gone. */
  keepOnly(isWanted: (model: string) => boolean): void {
    for (const [model, { running }] of this.#paces)
      if (running.size === 0 && !isWanted(model)) this.#paces.delete(model)
  }

  /**
   * @returns a function from a place (from 1) to the time until it starts, ms; it answers null while nothing was
   * measured, or nothing runs that could end
   */
  forModel(model: string, now: Instant): (position: number) => number | null {
    const { slotMs = null, running } = this.#paces.get(model) ?? {}
    if (slotMs === null || running === undefined || running.size === 0) return () => null
    const rests = [...running.values()].map(since =>
      Math.max(slotMs - (now - since), remainingShareMin * slotMs),
    )
    return position => {
      const rounds = Math.floor((position - 1) / rests.length)
      return (rests[(position - 1) % rests.length] ?? 0) + rounds * slotMs
    }
  }
}

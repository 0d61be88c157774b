import type { Instant } from '../../clock.ts'

/** How long a worker may be silent before it counts as hung; all in ms. Generous: a kill costs everybody's work. */
export type WatchLimits = {
  /** Of a load: without any progress, and for each megabyte of the file. */
  readonly loadMs: number
  readonly loadPerMegabyteMs: number
  /** Before the first token, and for each token of the prompts that are read meanwhile. */
  readonly firstTokenMs: number
  readonly promptTokenMs: number
  /** Between tokens: at least this, and so many times the stream's own median. */
  readonly gapMs: number
  readonly gapFactor: number
}

type WatchedJob = {
  /** Its last sign of life. */
  at: Instant
  promptTokens: number
  /** The youngest gaps between its tokens, in any order; null until the first token. */
  gaps: number[] | null
  /** Place of the oldest gap, once there are `gapsMax`. */
  oldest: number
}

/** Gaps that the median is taken of, the youngest. */
const gapsMax = 32

/**
 * Whether a worker still does what it was told. Pure: told what the worker was given and said, it says by when it must be
 * heard again. Streams share their batches: while a prompt is read, others may wait for it.
 */
export class EngineWatch {
  readonly #limits: WatchLimits
  readonly #contextTokens: number
  readonly #loadAllowanceMs: number
  readonly #jobs = new Map<number, WatchedJob>()
  #loading = true
  #lastSignAt: Instant

  constructor(
    limits: WatchLimits,
    model: { readonly contextTokens: number; readonly megabytes: number },
    now: Instant,
  ) {
    this.#limits = limits
    this.#contextTokens = model.contextTokens
    this.#loadAllowanceMs = limits.loadMs + limits.loadPerMegabyteMs * model.megabytes
    this.#lastSignAt = now
  }

  /** The worker has said something about its load. */
  loadSign(loading: boolean, now: Instant): void {
    this.#loading = loading
    this.#sign(now)
    // Jobs may have been given before; they begin now.
    for (const job of this.#jobs.values()) job.at = now
  }

  /** A job was given; until the worker has counted its prompt it is taken for as long as can be. */
  begin(key: number, now: Instant): void {
    this.#jobs.set(key, { at: now, promptTokens: this.#contextTokens, gaps: null, oldest: 0 })
  }

  promptCounted(key: number, promptTokens: number, now: Instant): void {
    const job = this.#jobs.get(key)
    if (job === undefined) return
    job.promptTokens = promptTokens
    this.#sign(now)
  }

  /** A token, or a vector, of a job. @returns whether it is the first */
  token(key: number, now: Instant): boolean {
    const job = this.#jobs.get(key)
    if (job === undefined) return false
    const isFirst = job.gaps === null
    if (job.gaps === null) {
      job.gaps = []
      // What waited for its prompt has waited enough.
      for (const other of this.#jobs.values()) other.at = now
    } else if (job.gaps.length < gapsMax) job.gaps.push(now - job.at)
    else {
      job.gaps[job.oldest] = now - job.at
      job.oldest = (job.oldest + 1) % gapsMax
    }
    job.at = now
    this.#sign(now)
    return isFirst
  }

  /** A job ended or was cancelled. */
  end(key: number, now: Instant): void {
    this.#jobs.delete(key)
    this.#sign(now)
  }

  /** When the worker counts as hung unless it is heard before; null while it has nothing to do. */
  get dueAt(): Instant | null {
    return this.#earliest(gaps => this.#gapMs(gaps))
  }

  /**
   * At or before `dueAt`, without the medians: beside hundreds of streams, finding them at the beginning and end of each
   * took a third of the agent's CPU time.
   */
  get dueAtLeast(): Instant | null {
    return this.#earliest(() => this.#limits.gapMs)
  }

  #earliest(gapMsOf: (gaps: readonly number[]) => number): Instant | null {
    if (this.#loading) return this.#lastSignAt + this.#loadAllowanceMs
    const prefillMs = this.#prefillMs
    let dueAt: Instant | null = null
    for (const job of this.#jobs.values()) {
      const due =
        job.gaps === null
          ? Math.max(job.at, this.#lastSignAt) + prefillMs
          : job.at + prefillMs + gapMsOf(job.gaps)
      dueAt = dueAt === null ? due : Math.min(dueAt, due)
    }
    return dueAt
  }

  /** What the prompts that are read now may take together. */
  get #prefillMs(): number {
    let tokens = 0
    let prompts = 0
    for (const job of this.#jobs.values())
      if (job.gaps === null) {
        tokens += job.promptTokens
        prompts++
      }
    if (prompts === 0) return 0
    return this.#limits.firstTokenMs + this.#limits.promptTokenMs * tokens
  }

  #gapMs(gaps: readonly number[]): number {
    return Math.max(this.#limits.gapMs, this.#limits.gapFactor * median(gaps))
  }

  #sign(now: Instant): void {
    this.#lastSignAt = now
  }
}

/** Zero where there is none yet. */
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

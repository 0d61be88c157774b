/** One measurement with so many threads, tokens per second; prefill null: decode was so slow that nothing more was asked. */
export type ThreadPoint = {
  readonly threads: number
  readonly decodeTokensPerS: number
  readonly prefillTokensPerS: number | null
}

/** Tokens of a prompt for each token of its answer: chats send their history along. */
const promptTokensPerAnswerToken = 4

/**
 * What a number of threads is worth: answer tokens per second of requests with a usual prompt. Decoding alone is
 * bound by memory and would choose few threads, on which prompts crawl.
 */
export const worth = ({ decodeTokensPerS, prefillTokensPerS }: ThreadPoint): number =>
  prefillTokensPerS === null
    ? 0
    : 1 / (promptTokensPerAnswerToken / prefillTokensPerS + 1 / decodeTokensPerS)

/** Below this share of the best the peak is passed. */
const pastPeakRatio = 0.9
/** Fewer threads win when they are this close to the best: they leave room for the owner's own programs. */
const closeEnoughRatio = 0.95
/**
 * All cores at once have to be worth clearly more than leaving one free: they collapse as soon as anybody else wants one
 * (2 threads on 2 cores: 297 tokens/s in a quiet moment, 112 in the next).
 */
const coreFreeRatio = 0.9
/** Two measurements of one count that differ by more are not yet to be trusted. */
const agreeRatio = 0.8
const measurementsMax = 20
const refinementsMax = 4

/**
 * Finds the fastest number of threads with few measurements. More threads than free cores is a cliff (ggml's threads
 * spin at a barrier), so it comes from below, doubles, stops past the peak, looks between the peak and its
 * neighbours, and measures what it chose once more: under a load that comes and goes, one lucky measurement must not
 * choose a count that collapses.
 */
export class ThreadSweep {
  readonly #threadsMax: number
  readonly #samples = new Map<number, number[]>()
  #measurements = 0
  #refinements = 0

  /** @param threadsMax all cores of the machine */
  constructor(threadsMax: number) {
    this.#threadsMax = threadsMax
  }

  add(point: ThreadPoint): void {
    this.#measurements++
    const samples = this.#samples.get(point.threads)
    if (samples === undefined) this.#samples.set(point.threads, [worth(point)])
    else samples.push(worth(point))
  }

  /** @returns what to measure next, or null when there is nothing to learn */
  next(): number | null {
    if (this.#measurements >= measurementsMax) return null
    return this.#climb() ?? this.#refine() ?? this.#confirm()
  }

  /** The smallest count that is as good as the best one; 1 when nothing was measured. */
  get choice(): number {
    const best = this.#best(this.#counts())
    const coreFree = this.#counts().filter(threads => threads < this.#threadsMax)
    const bestCoreFree = this.#best(coreFree)
    const wanted = bestCoreFree >= coreFreeRatio * best ? bestCoreFree : best
    const good = this.#counts().filter(
      threads => this.#figure(threads) >= closeEnoughRatio * wanted,
    )
    return wanted === 0 ? 1 : Math.min(...good)
  }

  #best(counts: readonly number[]): number {
    return Math.max(0, ...counts.map(threads => this.#figure(threads)))
  }

  #climb(): number | null {
    const doubled: number[] = []
    for (let threads = 1; threads < this.#threadsMax; threads *= 2) doubled.push(threads)
    doubled.push(this.#threadsMax)
    let best = 0
    for (const threads of doubled) {
      const samples = this.#samples.get(threads)
      if (samples === undefined) return threads
      const highest = Math.max(...samples)
      // Somebody else's second of work looks like a cliff, so it is looked at twice.
      if (highest < pastPeakRatio * best) return samples.length < 2 ? threads : null
      best = Math.max(best, highest)
    }
    return null
  }

  #refine(): number | null {
    if (this.#refinements >= refinementsMax) return null
    const peak = this.#peak()
    const counts = this.#counts()
    const below = Math.max(0, ...counts.filter(threads => threads < peak))
    const above = Math.min(this.#threadsMax + 1, ...counts.filter(threads => threads > peak))
    const [from, to] = above - peak > peak - below ? [peak, above] : [below, peak]
    const middle = Math.floor((from + to) / 2)
    if (middle < 1 || this.#samples.has(middle)) return null
    this.#refinements++
    return middle
  }

  #confirm(): number | null {
    for (const threads of [this.#peak(), this.choice]) {
      const samples = this.#samples.get(threads) ?? []
      if (samples.length < 2) return threads
      const agree = Math.min(...samples) >= agreeRatio * Math.max(...samples)
      if (!agree && samples.length < 3) return threads
    }
    return null
  }

  #counts(): readonly number[] {
    return [...this.#samples.keys()].toSorted((a, b) => a - b)
  }

  /** The count with the highest single measurement. */
  #peak(): number {
    const highest = (threads: number) => Math.max(...(this.#samples.get(threads) ?? [0]))
    return this.#counts().reduce((peak, each) => (highest(each) > highest(peak) ? each : peak), 1)
  }

  /** The middle of what was measured, the lower of two. */
  #figure(threads: number): number {
    const samples = (this.#samples.get(threads) ?? []).toSorted((a, b) => a - b)
    return samples[Math.floor((samples.length - 1) / 2)] ?? 0
  }
}

/**
 * Lets one job change a sequence's cache while others run. node-llama-cpp (3.22.1) holds its context lock for as long as
 * anything is queued to be computed, so with two running streams a third job waited until one of them had ended before
 * it could clear its slot. Behind a closed gate the running jobs pause for one batch, and the lock comes free.
 */
export class EvaluationGate {
  #inside = 0
  #held = 0
  #changes = 0
  #opened = Promise.withResolvers<void>()

  /** Jobs that are about to queue something; those that are held do not count. */
  get running(): number {
    return this.#inside - this.#held
  }

  enter(): void {
    this.#inside++
  }

  leave(): void {
    this.#inside--
  }

  /** To be awaited before each evaluation. */
  async pass(): Promise<void> {
    if (this.#changes === 0) return
    this.#held++
    while (this.#changes > 0) await this.#opened.promise
    this.#held--
  }

  /** Runs `change` as soon as nothing else is being computed. The caller must not be inside. */
  async change<Result>(change: () => Promise<Result>): Promise<Result> {
    this.#changes++
    try {
      return await change()
    } finally {
      if (--this.#changes === 0) {
        this.#opened.resolve()
        this.#opened = Promise.withResolvers()
      }
    }
  }
}

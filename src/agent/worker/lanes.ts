/**
 * Hands out a fixed number of things that each serve one at a time. Whoever asked first gets the next free one, so a
 * job with many inputs does not starve one with few.
 */
export class Lanes<Lane> {
  readonly #free: Lane[]
  readonly #waiting: ((lane: Lane) => void)[] = []

  constructor(lanes: readonly Lane[]) {
    this.#free = [...lanes]
  }

  /** Uses the next free lane and gives it back, however the use ends. */
  async with<Result>(use: (lane: Lane) => Promise<Result>): Promise<Result> {
    const lane =
      this.#free.shift() ?? (await new Promise<Lane>(resolve => this.#waiting.push(resolve)))
    try {
      return await use(lane)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(lane)
      else next(lane)
    }
  }
}

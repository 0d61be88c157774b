/** The one source of chance in a simulated world: the same seed, the same draws (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From [0, 1). */
  readonly next = (): number => this.bits() / 2 ** 32

  /** 32 bits. */
  bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  between(min: number, max: number): number {
    return min + (max - min) * this.next()
  }

  /** A whole number, both bounds included. */
  whole(min: number, max: number): number {
    return min + Math.floor((max - min + 1) * this.next())
  }

  /** Mostly near `min`, seldom near `max`: how delays and durations are in life. */
  skewed(min: number, max: number): number {
    return min * (max / min) ** (this.next() ** 2)
  }

  /** As often between 1 and 10 as between 10 and 100. */
  spread(min: number, max: number): number {
    return min * (max / min) ** this.next()
  }

  pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[Math.floor(items.length * this.next())] ?? items[0]
  }

  uuid(): string {
    const hex = [0, 0, 0, 0].map(() => this.bits().toString(16).padStart(8, '0')).join('')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
  }
}

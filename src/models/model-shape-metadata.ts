import type { GgufValue } from './gguf-value.ts'

/** As llama.cpp has them, or far above every model known today. */
export const shapeLimits = {
  layersMax: 512,
  embeddingMax: 1_048_576,
  headsMax: 65_536,
  headSizeMax: 65_536,
  feedForwardMax: 16_777_216,
  expertsMax: 1024,
  vocabularyMax: 16_777_216,
  contextTokensMax: 1_073_741_824,
  stateSizeMax: 1_048_576,
} as const

/**
 * Reads the numbers of one architecture from a header's metadata. Each has a greatest value, so that no product of
 * them leaves the range of a double. The first problem sticks in `refusal` and every later read gives its fallback.
 */
export class ShapeMetadata {
  refusal: string | null = null
  readonly #metadata: ReadonlyMap<string, GgufValue>
  readonly #prefix: string

  constructor(metadata: ReadonlyMap<string, GgufValue>, architecture: string) {
    this.#metadata = metadata
    this.#prefix = `${architecture}.`
  }

  has(key: string): boolean {
    return this.#metadata.has(this.#prefix + key)
  }

  refuse(why: string): void {
    this.refusal ??= why
  }

  /** A whole number from 0 to `max`; missing gives `fallback`, or a refusal where that is `required`. */
  count(key: string, max: number, fallback: number | 'required'): number {
    const value = this.#metadata.get(this.#prefix + key)
    if (value === undefined) return this.#missing(key, fallback)
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max)
      return value
    return this.#wrong(key, max)
  }

  /** One whole number for every layer: the header has a list of them, or one for all. */
  perLayer(
    key: string,
    layers: number,
    max: number,
    fallback: readonly number[] | 'required',
  ): readonly number[] {
    const list = this.list(key, layers, max)
    if (list !== null) return list
    if (!this.has(key) && fallback !== 'required') return fallback
    return Array<number>(layers).fill(this.count(key, max, 'required'))
  }

  /** The first `layers` whole numbers (or yes and no, as 1 and 0) of a list; null where there is no list. */
  list(key: string, layers: number, max: number): readonly number[] | null {
    const value = this.#metadata.get(this.#prefix + key)
    if (!Array.isArray(value)) return null
    const numbers = value.slice(0, layers).map(Number)
    const right = numbers.every(number => Number.isInteger(number) && number >= 0 && number <= max)
    if (numbers.length === layers && right) return numbers
    this.refuse(
      `${this.#prefix}${key} must have a whole number from 0 to ${max} for each of ${layers} layers`,
    )
    return Array<number>(layers).fill(0)
  }

  #missing(key: string, fallback: number | 'required'): number {
    if (fallback !== 'required') return fallback
    this.refuse(`${this.#prefix}${key} is missing`)
    return 0
  }

  #wrong(key: string, max: number): number {
    this.refuse(`${this.#prefix}${key} must be a whole number from 0 to ${max}`)
    return 0
  }
}

import { notInHeap, type Candidate } from './ranking.ts'

/**
 * Candidates with the best one at the root. Each has a number here (`slot`), so that one whose key has changed moves by
 * itself, in as many comparisons as the heap is deep. Keys, numbers and places lie in arrays of their own and no candidate
 * is touched: with ten thousand agents what a move costs is the memory that it looks at.
 */
export class CandidateHeap {
  /** By place: the root, its two children, theirs. */
  readonly #keys: number[] = []
  readonly #slots: number[] = []
  /** By slot. */
  readonly #places: number[] = []
  readonly #candidates: (Candidate | undefined)[] = []
  readonly #unusedSlots: number[] = []

  get size(): number {
    return this.#keys.length
  }

  add(candidate: Candidate): void {
    const slot = this.#unusedSlots.pop() ?? this.#candidates.length
    candidate.slot = slot
    this.#candidates[slot] = candidate
    this.#rise(slot, candidate.key, this.#keys.length)
  }

  remove(candidate: Candidate): void {
    const { slot } = candidate
    const place = this.#places[slot] ?? 0
    candidate.slot = notInHeap
    this.#candidates[slot] = undefined
    this.#unusedSlots.push(slot)
    const lastKey = this.#keys.pop()
    const lastSlot = this.#slots.pop()
    if (lastKey === undefined || lastSlot === undefined || lastSlot === slot) return
    this.#settle(lastSlot, lastKey, place)
  }

  /** To be told after every change of a candidate's key. */
  moved({ slot, key }: Candidate): void {
    this.#settle(slot, key, this.#places[slot] ?? 0)
  }

  /**
   * The best ones in their order. Looks at few more than it returns, unless so many are turned down that one look at all of
   * them is cheaper.
   * @param accepts null: everybody
   */
  best(count: number, accepts: ((candidate: Candidate) => boolean) | null): Candidate[] {
    const found: Candidate[] = []
    /** Places whose parents were looked at: the best of all that are left is among them. */
    const frontier = this.size === 0 ? [] : [0]
    for (let looked = 0; frontier.length > 0 && found.length < count; looked++) {
      if (looked === looksMax) return this.#bestOfAll(count, accepts)
      const next = this.#bestOf(frontier)
      const place = frontier[next] ?? 0
      const candidate = this.#candidates[this.#slots[place] ?? 0]
      if (candidate !== undefined && (accepts === null || accepts(candidate))) found.push(candidate)
      const left = 2 * place + 1
      const last = frontier.pop() ?? 0
      if (next < frontier.length) frontier[next] = last
      if (left < this.size) frontier.push(left)
      if (left + 1 < this.size) frontier.push(left + 1)
    }
    return found
  }

  #bestOf(places: readonly number[]): number {
    let best = 0
    for (let i = 1; i < places.length; i++)
      if (this.#isBefore(places[i] ?? 0, places[best] ?? 0)) best = i
    return best
  }

  #bestOfAll(count: number, accepts: ((candidate: Candidate) => boolean) | null): Candidate[] {
    const found: Candidate[] = []
    for (const candidate of this.#candidates) {
      if (candidate === undefined || (accepts !== null && !accepts(candidate))) continue
      const { key, slot } = candidate
      const behind = found.findIndex(other => this.#goesBefore(slot, key, other.slot, other.key))
      if (behind === -1 && found.length >= count) continue
      found.splice(behind === -1 ? found.length : behind, 0, candidate)
      if (found.length > count) found.pop()
    }
    return found
  }

  #isBefore(a: number, b: number): boolean {
    const [keyA, keyB] = [this.#keys[a] ?? Infinity, this.#keys[b] ?? Infinity]
    return keyA === keyB
      ? this.#goesBefore(this.#slots[a] ?? 0, keyA, this.#slots[b] ?? 0, keyB)
      : keyA < keyB
  }

  /** Equal keys go by the agent's id. */
  #goesBefore(slot: number, key: number, otherSlot: number, otherKey: number): boolean {
    if (key !== otherKey) return key < otherKey
    const [one, other] = [this.#candidates[slot], this.#candidates[otherSlot]]
    return one !== undefined && other !== undefined && one.agentId < other.agentId
  }

  #settle(slot: number, key: number, place: number): void {
    if (!this.#rise(slot, key, place)) this.#sink(slot, key, place)
  }

  /** @returns false when it stayed where it was */
  #rise(slot: number, key: number, from: number): boolean {
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      const parentSlot = this.#slots[above] ?? 0
      const parentKey = this.#keys[above] ?? 0
      if (!this.#goesBefore(slot, key, parentSlot, parentKey)) break
      this.#put(parentSlot, parentKey, place)
      place = above
    }
    this.#put(slot, key, place)
    return place !== from
  }

  #sink(slot: number, key: number, from: number): void {
    let place = from
    for (;;) {
      const left = 2 * place + 1
      if (left >= this.size) break
      const below = left + 1 < this.size && this.#isBefore(left + 1, left) ? left + 1 : left
      const childSlot = this.#slots[below] ?? 0
      const childKey = this.#keys[below] ?? 0
      if (this.#goesBefore(slot, key, childSlot, childKey)) break
      this.#put(childSlot, childKey, place)
      place = below
    }
    this.#put(slot, key, place)
  }

  #put(slot: number, key: number, place: number): void {
    this.#slots[place] = slot
    this.#keys[place] = key
    this.#places[slot] = place
  }
}

/** Beyond this, keeping the frontier in order costs more than a look at everybody. */
const looksMax = 24

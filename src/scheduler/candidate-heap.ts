import { compareCandidates, notInHeap, type Candidate } from './ranking.ts'

/**
 * Candidates with the best one at the root. Each knows its place (`at`), so that one whose rank has changed moves by
 * itself, in as many comparisons as the heap is deep.
 */
export class CandidateHeap {
  readonly #items: Candidate[] = []

  get size(): number {
    return this.#items.length
  }

  has({ at }: Candidate): boolean {
    return at !== notInHeap
  }

  add(candidate: Candidate): void {
    this.#items.push(candidate)
    this.#rise(candidate, this.#items.length - 1)
  }

  remove(candidate: Candidate): void {
    const { at } = candidate
    candidate.at = notInHeap
    const last = this.#items.pop()
    if (last === undefined || last === candidate) return
    this.#settle(last, at)
  }

  /** To be told after every change of what a candidate is compared by. */
  moved(candidate: Candidate): void {
    this.#settle(candidate, candidate.at)
  }

  /**
   * The best ones in their order. Looks at few more than it returns, unless so many are turned down that one look at all of
   * them is cheaper.
   */
  best(count: number, accepts: (candidate: Candidate) => boolean): Candidate[] {
    const items = this.#items
    const found: Candidate[] = []
    /** Places whose parents were looked at: the best of all that are left is among them. */
    const frontier = items.length === 0 ? [] : [0]
    for (let looked = 0; frontier.length > 0 && found.length < count; looked++) {
      if (looked === looksMax) return this.#bestOfAll(count, accepts)
      const next = this.#bestOf(frontier)
      const at = frontier[next] ?? 0
      const candidate = items[at]
      if (candidate !== undefined && accepts(candidate)) found.push(candidate)
      const left = 2 * at + 1
      const last = frontier.pop() ?? 0
      if (next < frontier.length) frontier[next] = last
      if (left < items.length) frontier.push(left)
      if (left + 1 < items.length) frontier.push(left + 1)
    }
    return found
  }

  #bestOf(places: readonly number[]): number {
    let best = 0
    for (let i = 1; i < places.length; i++)
      if (this.#isBefore(places[i] ?? 0, places[best] ?? 0)) best = i
    return best
  }

  #bestOfAll(count: number, accepts: (candidate: Candidate) => boolean): Candidate[] {
    const found: Candidate[] = []
    for (const candidate of this.#items) {
      if (!accepts(candidate)) continue
      const behind = found.findIndex(other => compareCandidates(candidate, other) < 0)
      if (behind === -1 && found.length >= count) continue
      found.splice(behind === -1 ? found.length : behind, 0, candidate)
      if (found.length > count) found.pop()
    }
    return found
  }

  #isBefore(a: number, b: number): boolean {
    const [one, other] = [this.#items[a], this.#items[b]]
    return one !== undefined && other !== undefined && compareCandidates(one, other) < 0
  }

  #settle(candidate: Candidate, at: number): void {
    if (!this.#rise(candidate, at)) this.#sink(candidate, at)
  }

  /** @returns false when it stayed where it was */
  #rise(candidate: Candidate, from: number): boolean {
    const items = this.#items
    let at = from
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = items[above]
      if (parent === undefined || compareCandidates(candidate, parent) > 0) break
      items[at] = parent
      parent.at = at
      at = above
    }
    items[at] = candidate
    candidate.at = at
    return at !== from
  }

  #sink(candidate: Candidate, from: number): void {
    const items = this.#items
    let at = from
    for (;;) {
      const left = 2 * at + 1
      const below = this.#isBefore(left + 1, left) ? left + 1 : left
      const child = items[below]
      if (child === undefined || compareCandidates(candidate, child) < 0) break
      items[at] = child
      child.at = at
      at = below
    }
    items[at] = candidate
    candidate.at = at
  }
}

/** Beyond this, keeping the frontier in order costs more than a look at everybody. */
const looksMax = 24

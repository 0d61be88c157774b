/** Something that will happen. */
export type Scheduled = {
  readonly at: number
  /** Drawn: of what happens at the same instant, nobody knows what comes first. */
  readonly tie: number
  readonly act: () => void
  cancelled: boolean
}

/** What will happen, earliest first: a binary heap. */
export class EventQueue {
  readonly #heap: Scheduled[] = []

  get length(): number {
    return this.#heap.length
  }

  push(event: Scheduled): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(event, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = event
  }

  peek(): Scheduled | undefined {
    return this.#heap[0]
  }

  pop(): Scheduled | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    this.#sink(last)
    return first
  }

  #sink(event: Scheduled): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      let child = heap[below]
      if (child === undefined) break
      const other = heap[below + 1]
      if (other !== undefined && isBefore(other, child)) {
        child = other
        below++
      }
      if (!isBefore(child, event)) break
      heap[at] = child
      at = below
    }
    heap[at] = event
  }
}

const isBefore = (a: Scheduled, b: Scheduled): boolean =>
  a.at < b.at || (a.at === b.at && a.tie < b.tie)

import { drainMicrotasks } from 'bun:jsc'
import type { Clock, Instant } from '../src/clock.ts'
import { EventQueue, type Scheduled } from './event-queue.ts'
import { Random } from './random.ts'

/** When every simulated world begins: 1 January 2026. */
export const worldBegins: Instant = Date.UTC(2026, 0, 1)

/** A promise that the system makes and did not keep. */
class Violation extends Error {
  override readonly name = 'Violation'
}

/**
 * Time, chance and the order of events of one simulated world. One event happens at a time, with everything that its
 * promises lead to, and then `afterEvent` looks whether all is still as it has to be. Everything that happens goes into
 * the trace hash: two runs with the same hash did the same.
 */
export class World implements Clock {
  readonly random: Random
  readonly #queue = new EventQueue()
  #now = worldBegins
  #hash = 0
  #events = 0
  #violation: Violation | null = null
  /** Called after each event. */
  afterEvent: () => void = () => {}

  constructor(seed: number) {
    this.random = new Random(seed)
    this.trace(`seed ${seed}`)
  }

  readonly now = (): Instant => this.#now

  get events(): number {
    return this.#events
  }

  get traceHash(): string {
    return this.#hash.toString(16).padStart(8, '0')
  }

  /** Notes what happens now: it becomes part of the trace hash. */
  trace(what: string | Uint8Array): void {
    this.#hash = Bun.hash.xxHash32(what, this.#hash)
  }

  /** A promise was broken. The run ends with it, wherever this is called from (a rejected promise would be lost). */
  violated(what: string): void {
    this.#violation ??= new Violation(what)
  }

  /** @throws what was broken */
  assertNoViolation(): void {
    if (this.#violation !== null) throw this.#violation
  }

  /** @returns a function that takes it back */
  after(ms: number, act: () => void): () => void {
    const event: Scheduled = {
      at: this.#now + Math.max(0, ms),
      tie: this.random.bits(),
      act,
      cancelled: false,
    }
    this.#queue.push(event)
    return () => {
      event.cancelled = true
    }
  }

  /** Again and again, until it is taken back. */
  every(intervalMs: number, act: () => void): () => void {
    let cancel = () => {}
    const next = () => {
      cancel = this.after(intervalMs, () => {
        next()
        act()
      })
    }
    next()
    return () => cancel()
  }

  /**
   * Lets things happen until an instant, or until `isDone` says so.
   * @returns whether it did
   * @throws when a promise was broken, or something threw
   */
  run(until: Instant, isDone: () => boolean = () => false): boolean {
    for (;;) {
      if (isDone()) return true
      const next = this.#queue.peek()
      if (next === undefined || next.at > until) break
      this.#queue.pop()
      if (!next.cancelled) this.#step(next)
    }
    this.#now = until
    return isDone()
  }

  /** What has been begun outside of an event is carried through. */
  settle(): void {
    drainMicrotasks()
  }

  #step({ at, act }: Scheduled): void {
    this.#now = at
    this.#events++
    this.#hash = (Math.imul(this.#hash ^ (at * 1_000), 0x01000193) + this.#events) >>> 0
    act()
    drainMicrotasks()
    this.afterEvent()
    this.assertNoViolation()
  }
}

import type { World } from './world.ts'

/** How long what is sent takes to arrive. */
export type Latency = { minMs: number; maxMs: number }

type Sent = { readonly arrive: () => void; cancel: () => void }

/** Behind each other in one stream never means at the same instant. */
const spacingMs = 0.001

/**
 * One direction of a TCP connection: what is sent arrives in order, later, once. While it is blocked it keeps what was
 * sent, as TCP does, and what a break loses is always the end of it.
 */
export class Pipe {
  readonly #world: World
  readonly #latency: Latency
  #sent: Sent[] = []
  #lastArrivesAt = 0
  #isBlocked = false

  constructor(world: World, latency: Latency) {
    this.#world = world
    this.#latency = latency
  }

  send(arrive: () => void): void {
    const sent: Sent = { arrive, cancel: () => {} }
    this.#sent.push(sent)
    if (!this.#isBlocked) this.#launch(sent)
  }

  /** Nothing arrives until `unblock`; nothing is lost. */
  block(): void {
    this.#isBlocked = true
    for (const sent of this.#sent) sent.cancel()
  }

  unblock(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    for (const sent of this.#sent) this.#launch(sent)
  }

  /** The connection breaks: of what is on its way, so much of the end as chance wills does not arrive. */
  loseSuffix(): void {
    const lost = this.#sent.splice(this.#world.random.whole(0, this.#sent.length))
    for (const sent of lost) sent.cancel()
  }

  loseAll(): void {
    for (const sent of this.#sent) sent.cancel()
    this.#sent = []
  }

  #launch(sent: Sent): void {
    const { minMs, maxMs } = this.#latency
    const now = this.#world.now()
    const earliest = now + this.#world.random.skewed(minMs, maxMs)
    this.#lastArrivesAt = Math.max(earliest, this.#lastArrivesAt + spacingMs)
    sent.cancel = this.#world.after(this.#lastArrivesAt - now, () => {
      if (this.#sent[0] !== sent) throw new Error('a stream must arrive in order')
      this.#sent.shift()
      sent.arrive()
    })
  }
}

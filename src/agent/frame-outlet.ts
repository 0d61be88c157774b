import type { Clock, Instant } from '../clock.ts'
import { joinTokenFrames } from '../protocol/token-frames.ts'
import type { Timers } from './timers.ts'

/**
 * Between two messages with token frames lies at least this much. A person cannot see it, but an agent that makes 8,000
 * tokens a second sends 32 of them together, and a third of what each cost the server is gone (`bun run bench relay`).
 */
export const frameSpacingMs = 4
/** Frames that are held together at most; a client must not wait for a megabyte. */
export const frameBytesHeldMax = 64 * 1024

type Frame = Uint8Array<ArrayBuffer>

/**
 * Where token frames leave the agent. Frames that come together go out together, and those that follow within
 * `frameSpacingMs` wait for its end; a frame after a silence leaves at once. Whoever says something else to the server
 * flushes first: the order of what an agent says is part of the protocol.
 */
export class FrameOutlet {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #send: (message: Frame) => void
  #held: Frame[] = []
  #heldBytes = 0
  #sentAt: Instant = -Infinity
  /** Takes back the flush that is due; null: none is. */
  #cancelFlush: (() => void) | null = null

  constructor(deps: {
    readonly clock: Clock
    readonly timers: Timers
    readonly send: (message: Frame) => void
  }) {
    this.#clock = deps.clock
    this.#timers = deps.timers
    this.#send = deps.send
  }

  add(frame: Frame): void {
    this.#held.push(frame)
    this.#heldBytes += frame.length
    if (this.#heldBytes >= frameBytesHeldMax) this.#sendHeld()
    else if (this.#cancelFlush === null) this.#cancelFlush = this.#scheduleFlush()
  }

  /** Sends what is held: something else is about to be said. What comes after that leaves at once. */
  flush(): void {
    this.#sendHeld()
    this.#sentAt = -Infinity
  }

  /** Forgets what is held: there is nobody to send it to. */
  drop(): void {
    this.#cancelFlush?.()
    this.#cancelFlush = null
    this.#held = []
    this.#heldBytes = 0
  }

  #sendHeld(): void {
    const [first, ...others] = this.#held
    this.drop()
    if (first === undefined) return
    this.#sentAt = this.#clock.now()
    this.#send(joinTokenFrames([first, ...others]))
  }

  #scheduleFlush(): () => void {
    const waitMs = this.#sentAt + frameSpacingMs - this.#clock.now()
    if (waitMs > 0) return this.#timers.after(waitMs, () => this.#sendHeld())
    let wanted = true
    // The engine hands on all frames of one read before a microtask runs.
    queueMicrotask(() => {
      if (wanted) this.#sendHeld()
    })
    return () => {
      wanted = false
    }
  }
}

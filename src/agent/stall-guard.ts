import { agentLimits } from './agent-limits.ts'
import type { Timers } from './timers.ts'

/** Cuts a transfer that brings nothing for too long. */
export class StallGuard {
  readonly #abort = new AbortController()
  readonly #timers: Timers
  #cancel: () => void = () => {}

  constructor(timers: Timers) {
    this.#timers = timers
    this.alive()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  alive(): void {
    this.#cancel()
    const seconds = agentLimits.downloadStallMs / 1_000
    this.#cancel = this.#timers.after(agentLimits.downloadStallMs, () =>
      this.#abort.abort(new Error(`nothing came for ${seconds} s`)),
    )
  }

  stop(): void {
    this.#cancel()
  }
}

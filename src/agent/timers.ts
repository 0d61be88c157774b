/** Timers as the process has them; tests put their own in. */
export type Timers = {
  /** Calls back once, later. @returns a function that takes it back */
  after(ms: number, callback: () => void): () => void
}

export const processTimers: Timers = {
  after(ms, callback) {
    // setTimeout takes 31 bits and fires at once beyond them; the callers' ticks are harmless when early.
    const timer = setTimeout(callback, Math.min(Math.max(0, ms), 2_147_483_647))
    return () => clearTimeout(timer)
  },
}

/** How often deadlines are looked at; none of them is finer than seconds. */
export const tickIntervalMs = 1_000

/** Calls `act` again and again, `intervalMs` apart, until it is stopped. */
export function every(intervalMs: number, act: () => void): { stop(): void } {
  const timer = setInterval(act, intervalMs)
  return { stop: () => clearInterval(timer) }
}

/** Resolves after `ms`; does not keep the process alive. */
export function elapsed(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref())
}

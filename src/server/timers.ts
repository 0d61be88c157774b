/** Calls `act` again and again, `intervalMs` apart, until it is stopped. */
export function every(intervalMs: number, act: () => void): { stop(): void } {
  const timer = setInterval(act, intervalMs)
  return { stop: () => clearInterval(timer) }
}

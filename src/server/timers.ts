import type { Clock, Instant } from '../clock.ts'

/** How often deadlines are looked at; none of them is finer than seconds. */
export const tickIntervalMs = 1_000
/** But for those of streams: `limits.stallMinMs` is half a second. */
export const streamTickIntervalMs = 100

/** Calls `act` again and again, `intervalMs` apart, until it is stopped. */
export function every(intervalMs: number, act: () => void): { stop(): void } {
  const timer = setInterval(act, intervalMs)
  return { stop: () => clearInterval(timer) }
}

/**
 * Like `every`, and tells when the call was due: a process that was held up (by a long computation, or because the machine
 * gave it no time) calls late.
 */
export function everyKnowing(
  clock: Clock,
  intervalMs: number,
  act: (dueAt: Instant) => void,
): { stop(): void } {
  let calledAt = clock.now()
  return every(intervalMs, () => {
    const now = clock.now()
    const dueAt = Math.min(now, calledAt + intervalMs)
    calledAt = now
    act(dueAt)
  })
}

/** Resolves after `ms`; does not keep the process alive. */
export function elapsed(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref())
}

/** Calls `onFire` once after the delay, unless the returned function is called before. */
export type StartTimer = (delayMs: number, onFire: () => void) => () => void

export const startSystemTimer: StartTimer = (delayMs, onFire) => {
  const timer = setTimeout(onFire, delayMs)
  return () => clearTimeout(timer)
}

import type { SupervisedProcess } from './supervised-process.ts'

/** Why everything ends before its work is done. */
export type HaltReason =
  | { readonly type: 'signal'; readonly signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP' }
  | { readonly type: 'died'; readonly process: SupervisedProcess; readonly code: number }

/** One per run. Whatever waits, waits with `orHalted`, so that Ctrl-C and a child's death end any step at once. */
export type Halt = {
  readonly signal: AbortSignal
  /** The first reason wins. */
  with(reason: HaltReason): void
  /** The value, or undefined as soon as the run is halted. */
  orHalted<T>(work: Promise<T>): Promise<T | undefined>
  /** Why, as soon as the run is halted. */
  readonly halted: Promise<HaltReason>
}

export function createHalt(): Halt {
  const controller = new AbortController()
  const { promise: halted, resolve } = Promise.withResolvers<HaltReason>()
  return {
    signal: controller.signal,
    with(reason) {
      resolve(reason)
      controller.abort()
    },
    orHalted: work => Promise.race([work, halted.then(() => undefined)]),
    halted,
  }
}

import type { Logger } from 'pino'
import type { Inventory } from '../../protocol/gpu.ts'
import type { Enrolment } from '../state-dir.ts'
import type { Timers } from '../timers.ts'
import type { StartEngine } from './engine.ts'
import type { StartMeasuring } from './measuring.ts'

export type EngineSurroundings = {
  readonly stateDir: string
  readonly enrolment: Enrolment
  /** Being read meanwhile: asking the drivers takes as long as checking the engine's files. */
  readonly inventory: Promise<Inventory>
  readonly timers: Timers
  readonly log: Logger
  /** The owner wants to stop. */
  readonly signal: AbortSignal
}

export type PreparedEngine = {
  readonly startEngine: StartEngine
  readonly startMeasuring: StartMeasuring
  /** Names the build, so that figures of another one are noticed: `node-llama-cpp 3.22.1 cuda`. */
  readonly version: string
}

/**
 * Makes the engine ready to start workers, once, before the agent goes online. A checkout has it in node_modules; the
 * executable unpacks it.
 * @returns how to start workers, or why there is no engine, for the owner of the machine
 */
export type PrepareEngine = (
  surroundings: EngineSurroundings,
) => Promise<PreparedEngine | { readonly problem: string }>

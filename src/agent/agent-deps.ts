import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { GpuProbe } from '../gpu/probe.ts'
import type { Inventory } from '../protocol/gpu.ts'
import type { StartEngine } from './engine/engine.ts'
import type { StartMeasuring } from './engine/measuring.ts'
import type { EngineSettings } from './external/engine-settings.ts'
import type { Enrolment } from './state-dir.ts'
import type { Timers } from './timers.ts'

/** What the agent says to the program that started it: one JSON line each on stdout. */
export type Announcement =
  | { readonly event: 'online'; readonly agentId: string; readonly server: string }
  | { readonly event: 'offline'; readonly reason: string }

export type AgentDeps = {
  readonly dir: string
  readonly enrolment: Enrolment
  readonly inventory: Inventory
  readonly probe: GpuProbe
  readonly startEngine: StartEngine
  /** Another version gets another chance with the files that ended the workers of this one. */
  readonly engineVersion: string
  /** Measures the devices while nobody wants them; null: they are not measured. */
  readonly calibration: { readonly startMeasuring: StartMeasuring } | null
  /** The engines that the owner runs beside the agent; absent: none. */
  readonly engines?: EngineSettings
  /** GPUPOOL_AGENT_THREADS; null: measured. */
  readonly chosenThreads: number | null
  /** GPUPOOL_AGENT_DISK_GB; null or absent: a share of the disk. */
  readonly diskBudgetBytes?: number | null
  /** GPUPOOL_AGENT_IDLE_UNLOAD_MINUTES in ms; null: a model stays until the pool or another model wants it gone. */
  readonly idleUnloadMs: number | null
  readonly clock: Clock
  readonly wallClock: Clock
  readonly timers: Timers
  /** Drawn from [0, 1). */
  readonly random: () => number
  readonly log: Logger
  readonly announce: (announcement: Announcement) => void
}

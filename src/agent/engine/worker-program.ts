import type { Logger } from 'pino'
import type { GpuInventory } from '../../protocol/gpu.ts'
import type { CudaState } from '../executable/choose-engine.ts'
import type { Timers } from '../timers.ts'

/** How a worker is started. */
export type WorkerProgram = {
  /** An executable and its arguments. */
  readonly command: readonly string[]
  /**
   * Where the worker starts. Bun reads .env and bunfig.toml there, so it must be a folder of ours: a stranger's must not
   * configure the worker.
   */
  readonly directory: string
  /** The worker's whole environment. */
  readonly environment: Readonly<Record<string, string>>
}

export type ReadyWorker = {
  readonly program: WorkerProgram
  /** Where the CUDA libraries are; `not_fetched`: the agent gets them from the pool when it runs. */
  readonly cuda: CudaState | { readonly state: 'not_fetched'; readonly sizeBytes: number }
}

/** Makes the worker ready to be looked at, by what is on this machine: nothing is fetched. */
export type PrepareWorker = (surroundings: {
  readonly stateDir: string
  readonly gpus: readonly GpuInventory[]
  readonly timers: Timers
  readonly log: Logger
}) => Promise<ReadyWorker | { readonly problem: string }>

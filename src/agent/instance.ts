import type { Instant } from '../clock.ts'
import type { ExternalSource } from '../models/external-model.ts'
import type { InstanceState } from '../protocol/agent-message.ts'
import type { Failure } from '../protocol/errors.ts'
import type { Assign, AssignEmbed, Load } from '../protocol/server-message.ts'
import type { EngineTask } from './engine/engine.ts'
import type { Footprint } from './evictions.ts'
import type { Room } from './room.ts'

/** Where one instance stands, with what only exists there. */
export type Phase =
  | { readonly name: 'fetching'; readonly progress: number | null }
  /** The file is here, and memory is not yet. `look`: the one that was asked for last. */
  | {
      readonly name: 'making_room'
      readonly path: string
      readonly since: Instant
      readonly look: number
    }
  | {
      readonly name: 'starting'
      readonly engine: number
      readonly path: string
      readonly progress: number | null
    }
  | {
      readonly name: 'ready'
      readonly engine: number
      readonly path: string
      readonly contextTokens: number
      readonly slots: number
      readonly loadMs: number
    }
  | { readonly name: 'failed'; readonly error: Failure }

/** A job of either kind. */
export type AnyAssign = Assign | AssignEmbed

/** How long it stays in memory, as the server said last. */
export type Stay = Pick<Load, 'pinned' | 'idleUnloadMs'>

export type RunningJob = Pick<Assign, 'stream' | 'attempt' | 'jobId'>

/** One placement of one model on this machine. */
export type Instance = {
  readonly load: Load
  phase: Phase
  /** Jobs that no slot has taken yet, oldest first. */
  readonly waiting: AnyAssign[]
  /** Jobs the engine has, by `jobKey`. */
  readonly running: Map<number, RunningJob>
  /** When workers died, within the window that counts. */
  deaths: Instant[]
  /** When it was asked for, became ready, or last had a job. */
  lastUsedAt: Instant
  /** What it takes of the machine, once it has a process. */
  footprint: Footprint
  /** The memory that there was for it when it was started. */
  admitted: Room | null
  /** It ran out of memory once: it gets less of the GPU. */
  lessGpu: boolean
  stay: Stay
}

export const newInstance = (load: Load, now: Instant): Instance => ({
  load,
  phase: { name: 'fetching', progress: null },
  waiting: [],
  running: new Map(),
  deaths: [],
  lastUsedAt: now,
  footprint: { mainBytes: 0, gpuBytes: 0 },
  admitted: null,
  lessGpu: false,
  stay: stayOf(load),
})

/** @returns what a repeated order may change */
export const stayOf = ({ pinned, idleUnloadMs }: Load): Stay => ({
  ...(pinned !== undefined && { pinned }),
  ...(idleUnloadMs !== undefined && { idleUnloadMs }),
})

/**
 * When it is unloaded unless somebody uses it.
 * @param idleUnloadMs of this machine, for models that the server says nothing of; null: never
 * @returns null: it stays
 */
export function idleEnd(
  { load, stay, lastUsedAt }: Instance,
  idleUnloadMs: number | null,
): Instant | null {
  if (stay.pinned === true || externalSourceOf(load) !== undefined) return null
  const unusedMs = stay.idleUnloadMs ?? idleUnloadMs
  return unusedMs === null || unusedMs === 0 ? null : lastUsedAt + unusedMs
}

/** Set when no file is loaded, because an engine that the owner runs serves the model. */
export const externalSourceOf = ({ sources }: Load): ExternalSource | undefined =>
  sources.find(source => source.kind === 'external')

/** What the engine is given of a job. */
export const engineTaskOf = (assign: AnyAssign): EngineTask => {
  const { stream, attempt } = assign
  if (assign.type === 'assign_embed') return { stream, attempt, embed: assign.embed }
  return { stream, attempt, chat: assign.chat, continuation: assign.continuation }
}

/** Stream and attempt as one number (32 + 16 bits are exact in a double). */
export const jobKey = (job: { readonly stream: number; readonly attempt: number }): number =>
  job.stream * 65_536 + job.attempt

export const engineOf = (instance: Instance): number | undefined =>
  'engine' in instance.phase ? instance.phase.engine : undefined

/** Share of a load's progress that getting the file takes; the engine's own is the rest. */
const fetchShare = 0.8

/** What the server is told about an instance. */
export function instanceStatus({ phase }: Instance): InstanceState {
  switch (phase.name) {
    case 'fetching':
      return {
        state: 'loading',
        progress: phase.progress === null ? null : phase.progress * fetchShare,
      }
    case 'making_room':
      return { state: 'loading', progress: fetchShare }
    case 'starting':
      return { state: 'loading', progress: fetchShare + (phase.progress ?? 0) * (1 - fetchShare) }
    case 'ready': {
      const { contextTokens, slots, loadMs } = phase
      return { state: 'ready', contextTokens, slots, loadMs }
    }
    case 'failed':
      return { state: 'failed', error: phase.error }
  }
}

export const usesGpu = ({ load }: Pick<Instance, 'load'>): boolean => load.withoutGpu !== true

import type { Failure } from '../protocol/errors.ts'
import type { InstanceId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import { chooseEvictions, type Evictable, type Footprint } from './evictions.ts'

/** Memory as it is when a model wants in. */
export type Room = {
  /** What the model takes where it lies best, with everything gone that may go. */
  readonly need: Footprint
  /** What it takes where it would lie now. */
  readonly needNow: Footprint
  /** Of main memory: what a new process could get. */
  readonly availableBytes: number
  /** Left of the GPUs beside what is loaded there; null when not known. */
  readonly gpuFreeBytes: number | null
}

/** A model that has a process of its own. */
export type Resident = Evictable & {
  readonly sha256: string
  /**
   * What the system counts as available and is not: weights, which are mapped from the file and shared by the
   * instances of one file, and all that a model which still loads will take.
   */
  readonly hiddenBytes: number
  /** In use, still loading or just leaving: it may go `later`. */
  readonly state: 'idle' | 'later' | 'pinned'
}

/** What to do with a model that wants in. */
export type RoomAnswer =
  | { readonly type: 'fits' }
  | { readonly type: 'evict'; readonly instanceIds: readonly InstanceId[] }
  /** There is room once models that are in use now are not any more; `error`: what to say when that takes too long. */
  | { readonly type: 'wait' | 'refuse'; readonly error: Failure }

const headroomBytes = limits.memoryHeadroomMb * 1024 ** 2

/** Whether a model fits, what would have to go for it, or why it cannot be held. A question only. */
export function askForRoom(room: Room, residents: readonly Resident[]): RoomAnswer {
  const shortBy = shortfall(room, room.need, residents)
  if (isMet(shortBy)) return { type: 'fits' }
  const idle = chooseEvictions(
    residents.filter(({ state }) => state === 'idle'),
    shortBy,
  )
  if (idle !== null) return { type: 'evict', instanceIds: idle }
  // Less than the best place on the GPU is no reason to wait: the rest goes to main memory, where that has room.
  if (isMet(shortfall(room, room.needNow, residents))) return { type: 'fits' }
  const movable = residents.filter(({ state }) => state !== 'pinned')
  const type = chooseEvictions(movable, shortBy) === null ? 'refuse' : 'wait'
  return { type, error: noRoom(room, residents) }
}

const isMet = ({ mainBytes, gpuBytes }: Footprint): boolean => mainBytes <= 0 && gpuBytes <= 0

/** Specification 1.2: what the model takes, and the headroom beside it. */
function shortfall(
  { availableBytes, gpuFreeBytes }: Room,
  need: Footprint,
  residents: readonly Resident[],
): Footprint {
  const onGpu = need.gpuBytes > 0 && gpuFreeBytes !== null
  return {
    mainBytes: need.mainBytes + headroomBytes - freeBytes(availableBytes, residents),
    gpuBytes: onGpu ? need.gpuBytes + headroomBytes - gpuFreeBytes : 0,
  }
}

function freeBytes(availableBytes: number, residents: readonly Resident[]): number {
  const byFile = new Map<string, number>()
  for (const { sha256, hiddenBytes } of residents)
    byFile.set(sha256, Math.max(hiddenBytes, byFile.get(sha256) ?? 0))
  const hidden = [...byFile.values()].reduce((sum, bytes) => sum + bytes, 0)
  return Math.max(0, availableBytes - hidden)
}

function noRoom({ needNow, availableBytes }: Room, residents: readonly Resident[]): Failure {
  const others = residents.reduce((sum, { frees }) => sum + frees.mainBytes, 0)
  const held = others > 0 ? `; other models hold ${mb(others)}` : ''
  const needed = mb(needNow.mainBytes + headroomBytes)
  const free = mb(freeBytes(availableBytes, residents))
  return {
    code: 'out_of_memory',
    message: `the model needs ${needed} of memory and ${free} are free${held}`,
  }
}

/** What the engine said when its memory did not suffice, with what it was reckoned to need and what there was. */
export function outOfMemory(
  { message }: Failure,
  { needNow, availableBytes, gpuFreeBytes }: Room,
): Failure {
  const gpu =
    gpuFreeBytes === null
      ? ''
      : `; of the GPU ${mb(needNow.gpuBytes)}, ${mb(gpuFreeBytes)} were free`
  const main = `reckoned were ${mb(needNow.mainBytes)} of main memory, ${mb(availableBytes)} were available`
  return {
    code: 'out_of_memory',
    message: `the memory did not suffice (${message}); ${main}${gpu}`,
  }
}

const mb = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MB`

import type { Load } from '../protocol/server-message.ts'
import type { InstanceCommand, InstanceEvent } from './instance-event.ts'
import type { Footprint } from './evictions.ts'
import { loadPlanner, type GpuMemory, type LoadPlan } from './model-need.ts'
import type { Room } from './room.ts'
import type { Timers } from './timers.ts'

export type RoomWatchDeps = {
  readonly timers: Timers
  /** Memory that a new process could get now. */
  readonly availableBytes: () => number
  /** What was measured of the GPUs, with nothing of ours loaded. */
  readonly gpuMemory: () => GpuMemory
  /** What our processes have of it. */
  readonly takenGpuBytes: () => number
  readonly onRoom: (event: Extract<InstanceEvent, { type: 'room' }>) => void
}

type Planner = (gpu: GpuMemory) => LoadPlan

/** Measures what room there is for a model, at once and again later. */
export class RoomWatch {
  readonly #deps: RoomWatchDeps
  readonly #pending = new Set<() => void>()

  constructor(deps: RoomWatchDeps) {
    this.#deps = deps
  }

  measure(load: Load, path: string): Room {
    const gpu: GpuMemory = load.withoutGpu === true ? { state: 'unwanted' } : this.#deps.gpuMemory()
    const planner = loadPlanner(path, load)
    const available = { availableBytes: this.#deps.availableBytes() }
    const need = footprintOf(planner, gpu, load)
    if (gpu.state !== 'known') return { ...available, need, needNow: need, gpuFreeBytes: null }
    const gpuFreeBytes = Math.max(0, gpu.bytes - this.#deps.takenGpuBytes())
    const needNow = footprintOf(planner, { ...gpu, bytes: gpuFreeBytes }, load)
    return { ...available, need, needNow, gpuFreeBytes }
  }

  look({ load, path, look, afterMs }: Extract<InstanceCommand, { type: 'look_for_room' }>): void {
    const cancel = this.#deps.timers.after(afterMs, () => {
      this.#pending.delete(cancel)
      const { instanceId } = load
      this.#deps.onRoom({ type: 'room', instanceId, look, room: this.measure(load, path) })
    })
    this.#pending.add(cancel)
  }

  /** No look happens any more. */
  close(): void {
    for (const cancel of this.#pending) cancel()
    this.#pending.clear()
  }
}

/** The size of the file stands for what its header does not tell. */
function footprintOf(planner: Planner, gpu: GpuMemory, { manifest }: Load): Footprint {
  const { mainBytes, gpuBytes } = planner(gpu)
  return { mainBytes: mainBytes ?? manifest.sizeBytes, gpuBytes }
}

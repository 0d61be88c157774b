import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { GpuProbe } from '../gpu/probe.ts'
import type { GpuReading, Inventory } from '../protocol/gpu.ts'
import { limits } from '../protocol/limits.ts'
import { DevicePresence } from './device-presence.ts'
import { ReadingsSampler } from './readings-sampler.ts'
import type { Timers } from './timers.ts'

export type InventoryKeeperDeps = {
  readonly inventory: Inventory
  readonly probe: GpuProbe
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Logger
  /** Hears every reading of the devices. */
  readonly onReadings: (readings: readonly GpuReading[]) => void
  /** The devices that are there have changed; `current` is the new inventory. */
  readonly onChange: (inventory: Inventory) => void
}

/** What the machine has and what its devices are doing. Looks anew when a device is lost or comes back. */
export class InventoryKeeper {
  readonly #deps: InventoryKeeperDeps
  readonly #presence = new DevicePresence()
  readonly #sampler: ReadingsSampler
  #current: Inventory

  constructor(deps: InventoryKeeperDeps) {
    this.#deps = deps
    this.#current = deps.inventory
    const { probe, clock, timers, inventory } = deps
    this.#sampler = new ReadingsSampler(probe, inventory.gpus, clock, timers, readings =>
      this.#take(readings),
    )
  }

  /** The machine with the devices that are there; without what was measured of them. */
  get current(): Inventory {
    return this.#current
  }

  /** Of the devices that are there. */
  get readings(): readonly GpuReading[] {
    const ids = new Set(this.#current.gpus.map(({ id }) => id))
    return this.#sampler.readings.filter(({ id }) => ids.has(id))
  }

  /** Takes the first readings and goes on until `stop`. */
  start(): Promise<void> {
    return this.#sampler.start()
  }

  stop(): void {
    this.#sampler.stop()
  }

  async #take(readings: readonly GpuReading[]): Promise<void> {
    const { probe, clock, log, onReadings, onChange } = this.#deps
    onReadings(readings)
    if (!this.#presence.take(readings, clock.now())) return
    const { gpus, problems } = await probe.inventory()
    const before = this.#current
    const present = this.#presence.present(gpus).slice(0, limits.gpusPerAgentMax)
    if (Bun.deepEquals(present, before.gpus)) return
    const names = present.map(({ name }) => name).join(', ') || 'none'
    log.warn({ problems }, `the devices of this machine have changed: ${names}`)
    this.#current = { ...before, gpus: [...present] }
    onChange(this.#current)
  }
}

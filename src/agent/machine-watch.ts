import os from 'node:os'
import { readMemory } from '../gpu/machine.ts'
import type { GpuReading, Inventory } from '../protocol/gpu.ts'
import type { AgentDeps } from './agent-deps.ts'
import { Calibrator } from './calibration/calibrator.ts'
import { CpuUse, cpuTimesOf } from './cpu-use.ts'
import { InventoryKeeper } from './inventory-keeper.ts'
import { chooseThreads } from './threads.ts'
import { ThermalGuard } from './thermal-guard.ts'

export type MachineEvents = {
  /** Whether a process of ours may hold a device's memory. */
  readonly modelsLoaded: () => boolean
  readonly onInventory: () => void
  /** The heat has changed; `refusal`: why the GPUs may not work now, where that changed with it. */
  readonly onHeat: (change: { readonly refusal: string | null } | null) => void
}

/** The machine under the agent: its devices and their heat, what was measured of it, how busy its processor is. */
export class MachineWatch {
  readonly #deps: AgentDeps
  readonly #events: MachineEvents
  readonly #keeper: InventoryKeeper
  readonly #calibrator: Calibrator | null
  readonly #cpuUse = new CpuUse()
  readonly #thermalGuard = new ThermalGuard()
  /** The machine with what was measured of it. */
  #inventory: Inventory

  constructor(deps: AgentDeps, events: MachineEvents) {
    this.#deps = deps
    this.#events = events
    this.#keeper = new InventoryKeeper({
      ...deps,
      onReadings: readings => this.#watchHeat(readings),
      onChange: inventory => {
        this.#calibrator?.devices(inventory)
        this.#inventoryChanged()
      },
    })
    this.#calibrator = this.#createCalibrator(deps)
    this.#inventory = this.#calibrator?.withFigures(deps.inventory) ?? deps.inventory
  }

  start(): void {
    void this.#keeper.start()
  }

  get inventory(): Inventory {
    return this.#inventory
  }

  get readings(): readonly GpuReading[] {
    return this.#keeper.readings
  }

  get heat(): ThermalGuard['level'] {
    return this.#thermalGuard.level
  }

  /** Threads for a worker that starts now. */
  get threads(): number {
    return chooseThreads({
      ...this.#deps.inventory.cpu,
      chosen: this.#deps.chosenThreads,
      calibrated: this.#inventory.cpu.measured?.threads ?? null,
      machineCores: os.cpus().length,
      busyCores: this.#cpuUse.busyCores ?? os.loadavg()[0] ?? 0,
    })
  }

  /** To be called at regular times. */
  lookAtCpus(): void {
    this.#cpuUse.look(cpuTimesOf(os.cpus()), this.#calibrator?.running !== true)
  }

  /** @param free nobody wants anything of the machine, and it may be measured */
  activity(free: boolean): void {
    this.#calibrator?.activity(free)
  }

  /** Resolves when nothing measures any more. */
  async stop(): Promise<void> {
    this.#keeper.stop()
    await this.#calibrator?.stop()
  }

  #watchHeat(readings: readonly GpuReading[]): void {
    const refused = this.#thermalGuard.refusal
    if (!this.#thermalGuard.observe(readings)) return
    const { refusal } = this.#thermalGuard
    this.#events.onHeat(refusal === refused ? null : { refusal })
  }

  #createCalibrator({ calibration, ...deps }: AgentDeps): Calibrator | null {
    if (calibration === null) return null
    return new Calibrator(
      {
        ...deps,
        ...calibration,
        availableBytes: () => readMemory().availableBytes,
        modelsLoaded: () => this.#events.modelsLoaded(),
        busyCores: () => this.#cpuUse.busyCores,
        onChange: () => this.#inventoryChanged(),
      },
      deps.inventory,
    )
  }

  #inventoryChanged(): void {
    const { current } = this.#keeper
    const inventory = this.#calibrator?.withFigures(current) ?? current
    if (Bun.deepEquals(inventory, this.#inventory)) return
    this.#inventory = inventory
    this.#events.onInventory()
  }
}

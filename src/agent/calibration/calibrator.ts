import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Clock } from '../../clock.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import { StateError } from '../state-dir.ts'
import { Calibration, type CalibrationCommand, type CalibrationEvent } from './calibration.ts'
import { readCalibration, writeCalibration } from './calibration-file.ts'
import { targetsOf, withMeasurements } from './devices.ts'
import { measureDevice, uncalibrated, type MeasureDeps } from './measure-device.ts'

export type CalibratorDeps = Omit<MeasureDeps, 'folder'> & {
  /** The agent's state directory. */
  readonly dir: string
  readonly clock: Clock
  readonly wallClock: Clock
  readonly log: Logger
  /** Figures have changed: `withFigures` says something else now. */
  readonly onChange: () => void
}

/** Performs what Calibration decides: writes the model, runs the measuring process, remembers. Decides nothing itself. */
export class Calibrator {
  readonly #deps: CalibratorDeps
  readonly #folder: string
  readonly #calibration: Calibration
  #inventory: Inventory
  #abort = new AbortController()
  /** The last measurement, until its process is gone and its files are removed. */
  #ending: Promise<void> = Promise.resolve()
  #cancelTick: () => void = () => {}

  constructor(deps: CalibratorDeps, inventory: Inventory) {
    this.#deps = deps
    this.#folder = join(deps.dir, 'calibration')
    this.#calibration = new Calibration(readCalibration(deps.dir)?.calibrated ?? [])
    this.#inventory = inventory
    // A killed agent leaves the model's file behind.
    rmSync(this.#folder, { recursive: true, force: true })
    this.devices(inventory)
  }

  /** While it measures, the processor is busy by our own doing. */
  get running(): boolean {
    return this.#calibration.running
  }

  /** The inventory with what was measured of it. */
  withFigures(inventory: Inventory): Inventory {
    return withMeasurements(inventory, this.#deps.engineVersion, this.#calibration.calibrated)
  }

  /** What the machine has now. */
  devices(inventory: Inventory): void {
    this.#inventory = inventory
    const targets = targetsOf(inventory, this.#deps.engineVersion)
    this.#handle({ type: 'devices', targets })
  }

  activity(idle: boolean): void {
    this.#handle({ type: idle ? 'idle' : 'busy' })
  }

  /** Resolves when nothing runs any more and the files are removed. */
  async stop(): Promise<void> {
    this.#handle({ type: 'stop' })
    this.#cancelTick()
    await this.#ending
  }

  #handle(event: CalibrationEvent): void {
    for (const command of this.#calibration.handle(event, this.#deps.clock.now()))
      this.#perform(command)
    this.#scheduleTick()
  }

  #scheduleTick(): void {
    const { clock, timers, busyCores } = this.#deps
    this.#cancelTick()
    const { dueAt } = this.#calibration
    if (dueAt === null) return
    this.#cancelTick = timers.after(dueAt - clock.now(), () =>
      this.#handle({ type: 'tick', busyCores: busyCores() }),
    )
  }

  #perform(command: CalibrationCommand): void {
    switch (command.type) {
      case 'measure':
        this.#abort = new AbortController()
        this.#ending = this.#measure(command, this.#ending, this.#abort.signal)
        return
      case 'stop':
        this.#abort.abort()
        return
      case 'remember':
        this.#remember()
        return
      case 'log':
        this.#deps.log[command.level](command.text)
    }
  }

  async #measure(
    { run, target: { deviceId } }: Extract<CalibrationCommand, { type: 'measure' }>,
    before: Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    await before
    if (signal.aborted) return
    const deps = { ...this.#deps, folder: this.#folder }
    const outcome = await measureDevice(deviceId, this.#inventory, deps, signal)
    if (signal.aborted) return
    const isGood = 'figures' in outcome && outcome.figures.decode !== null
    const figures = 'figures' in outcome ? outcome.figures : uncalibrated(deviceId, outcome)
    const measured = { ...figures, atMs: this.#deps.wallClock.now() }
    this.#handle({ type: isGood ? 'measured' : 'failed', run, measured })
  }

  #remember(): void {
    const { dir, engineVersion, log, onChange } = this.#deps
    try {
      writeCalibration(dir, { engineVersion, calibrated: this.#calibration.calibrated })
    } catch (error) {
      if (!(error instanceof StateError)) throw error
      // What was measured serves this run of the agent; the next one measures anew.
      log.warn(error.message)
    }
    onChange()
  }
}

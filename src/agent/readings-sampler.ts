import type { Clock } from '../clock.ts'
import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import { unknownReading, type GpuProbe } from '../gpu/probe.ts'
import { agentLimits } from './agent-limits.ts'
import { freshReadings } from './heartbeat.ts'
import type { Timers } from './timers.ts'

/**
 * Reads the devices in the background, so that a heartbeat never waits for a driver. One reading is under way at most:
 * a driver that hangs is asked no more, and its last word turns into "unknown" with age.
 */
export class ReadingsSampler {
  readonly #probe: GpuProbe
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #onReadings: (readings: readonly GpuReading[]) => void
  #sample: { readings: readonly GpuReading[]; takenAt: number }
  #cancelTimer: () => void = () => {}
  #stopped = false

  /** @param onReadings hears every reading, after it is the newest */
  constructor(
    probe: GpuProbe,
    gpus: readonly GpuInventory[],
    clock: Clock,
    timers: Timers,
    onReadings: (readings: readonly GpuReading[]) => void = () => {},
  ) {
    this.#probe = probe
    this.#clock = clock
    this.#timers = timers
    this.#onReadings = onReadings
    this.#sample = { readings: gpus.map(gpu => unknownReading(gpu.id)), takenAt: clock.now() }
  }

  get readings(): readonly GpuReading[] {
    return freshReadings(this.#sample, this.#clock.now())
  }

  /** Takes the first reading and goes on until `stop`; on a machine without devices it does nothing. */
  async start(): Promise<void> {
    if (this.#sample.readings.length === 0 || this.#stopped) return
    const readings = await this.#probe.readings()
    this.#sample = { readings, takenAt: this.#clock.now() }
    if (this.#stopped) return
    this.#onReadings(readings)
    this.#cancelTimer = this.#timers.after(agentLimits.readingsIntervalMs, () => void this.start())
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer()
  }
}

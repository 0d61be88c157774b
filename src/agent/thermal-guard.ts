import {
  cooledTemperatureC,
  criticalTemperatureC,
  heatLevel,
  type HeatLevel,
} from '../capability/heat-level.ts'
import type { GpuReading } from '../protocol/gpu.ts'

const ranks: Readonly<Record<HeatLevel, number>> = { normal: 0, throttled: 1, critical: 2 }

/** Watches how hot this machine's devices are: above the limit it works no more until they have cooled. Pure. */
export class ThermalGuard {
  readonly #levels = new Map<string, HeatLevel>()
  #level: HeatLevel = 'normal'

  /** Of the hottest device. */
  get level(): HeatLevel {
    return this.#level
  }

  /** Why there is no work now; null: there may be. */
  get refusal(): string | null {
    return this.#level === 'critical'
      ? `a GPU was above ${criticalTemperatureC} °C; work goes on below ${cooledTemperatureC} °C`
      : null
  }

  /** @returns whether the level has changed */
  observe(readings: readonly GpuReading[]): boolean {
    for (const reading of readings)
      this.#levels.set(reading.id, heatLevel(this.#levels.get(reading.id) ?? 'normal', reading))
    const before = this.#level
    this.#level = [...this.#levels.values()].reduce(
      (worst, level) => (ranks[level] > ranks[worst] ? level : worst),
      'normal',
    )
    return this.#level !== before
  }
}

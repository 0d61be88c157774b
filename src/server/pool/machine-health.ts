import {
  errorRateMax,
  errorTally,
  observeOutcome,
  type ErrorTally,
} from '../../capability/error-window.ts'
import {
  cooledTemperatureC,
  criticalTemperatureC,
  heatLevel,
  isTooHot,
  type HeatLevel,
} from '../../capability/heat-level.ts'
import { restoreHealthRecord, type HealthRecord } from '../../capability/health-record.ts'
import { judgeDevice, type DeviceJudgement } from '../../capability/judge-device.ts'
import {
  noThermalEvents,
  observeHeat,
  thermalEventsIn24h,
  type ThermalWindow,
} from '../../capability/thermal-window.ts'
import type { Instant } from '../../clock.ts'
import type { Heartbeat } from '../../protocol/agent-message.ts'
import type { GpuInventory, GpuReading, Inventory } from '../../protocol/gpu.ts'
import { limits } from '../../protocol/limits.ts'
import type { AgentHealth } from '../../scheduler/event.ts'

/** What the operator should hear of. */
export type HealthNews = {
  readonly type: 'thermal_event' | 'became_unhealthy' | 'became_healthy'
  readonly text: string
}

/**
 * The health of one machine, apart from its liveness: thermal events, heat and failed inferences. Pure: time is an
 * argument. Heat slows a machine's ranking, above 95 °C it gets no new work until it has cooled; with more than 5 % of
 * its inferences failed it gets none until they are a day old or the operator forgives them (specification 1.2, 5.3, 5.4).
 */
export class MachineHealth {
  #inventory: Inventory
  #record: HealthRecord
  readonly #levels = new Map<string, HeatLevel>()
  #saysThermal = false
  #unhealthy: boolean

  /** @param stored what `record` was before a restart; anything else counts as nothing */
  constructor(inventory: Inventory, stored: unknown, now: Instant) {
    this.#inventory = inventory
    this.#record = restoreHealthRecord(stored, now)
    this.#unhealthy = this.#failsTooOften(now)
  }

  /** To be stored. It is another object whenever it has changed. */
  get record(): HealthRecord {
    return this.#record
  }

  /** The machine has connected anew: how hot its devices are, its next heartbeat says. */
  connected(inventory: Inventory): void {
    this.#inventory = inventory
    this.#levels.clear()
    this.#saysThermal = false
  }

  /** A device was measured, is lost or is back. One that was away for a while is still the one that it was. */
  setInventory(inventory: Inventory): void {
    this.#inventory = inventory
    for (const id of this.#levels.keys())
      if (!inventory.gpus.some(gpu => gpu.id === id)) this.#levels.delete(id)
  }

  heartbeat(beat: Pick<Heartbeat, 'gpus' | 'reason'>, now: Instant): readonly HealthNews[] {
    this.#saysThermal = beat.reason === 'thermal'
    const news: HealthNews[] = []
    for (const reading of beat.gpus) {
      const gpu = this.#inventory.gpus.find(({ id }) => id === reading.id)
      if (gpu !== undefined) news.push(...this.#read(gpu, reading, now))
    }
    return [...news, ...this.#turn(now)]
  }

  /** @param ok false: it failed, and that was the machine's own doing */
  outcome(ok: boolean, now: Instant): readonly HealthNews[] {
    this.#record = { ...this.#record, errors: observeOutcome(this.#record.errors, ok, now) }
    return this.#turn(now)
  }

  /** The operator has looked into it: failed inferences until now do not count any more. */
  forgiveErrors(now: Instant): readonly HealthNews[] {
    this.#record = { ...this.#record, errors: { steps: [] } }
    return this.#turn(now)
  }

  /** What placement has to know. */
  standing(now: Instant): AgentHealth {
    const unfit = this.#inventory.gpus.flatMap(gpu => {
      if (this.thermalEvents(gpu.id, now) === 0) return []
      const answer = this.judge(gpu, now).answers.find(isThermal)
      return answer === undefined || answer.passes ? [] : [[gpu.id, answer.reason] as const]
    })
    return {
      stopped: this.#stopped(now),
      slowed: this.#saysThermal || [...this.#levels.values()].includes('throttled'),
      unfitGpus: Object.fromEntries(unfit),
    }
  }

  judge(gpu: GpuInventory, now: Instant): DeviceJudgement {
    const history = { thermal: this.#thermal(gpu.id), errors: this.#record.errors }
    return judgeDevice(this.#inventory, gpu, now, history)
  }

  /** Inferences of the last 24 h and how many failed. */
  errors(now: Instant): ErrorTally {
    return errorTally(this.#record.errors, now)
  }

  thermalEvents(gpuId: string, now: Instant): number {
    return thermalEventsIn24h(this.#thermal(gpuId), now)
  }

  #thermal(gpuId: string): ThermalWindow {
    return this.#record.thermal[gpuId] ?? noThermalEvents
  }

  #read(gpu: GpuInventory, reading: GpuReading, now: Instant): readonly HealthNews[] {
    this.#levels.set(gpu.id, heatLevel(this.#levels.get(gpu.id) ?? 'normal', reading))
    const before = this.#thermal(gpu.id)
    const after = observeHeat(before, isTooHot(reading), now)
    if (after === before) return []
    this.#record = { ...this.#record, thermal: this.#withWindow(gpu.id, after, now) }
    if (after.events.at(-1) === before.events.at(-1)) return []
    const temperature = reading.temperature_c === null ? '' : ` at ${reading.temperature_c} °C`
    const count = thermalEventsIn24h(after, now)
    const text = `${gpu.name} (${gpu.id}) is too hot${temperature}: thermal event ${count} in 24 h`
    return [{ type: 'thermal_event', text }]
  }

  /** Devices that had no event lately are forgotten, and the oldest ones of a machine that shows ever new ones. */
  #withWindow(gpuId: string, window: ThermalWindow, now: Instant): HealthRecord['thermal'] {
    const others = Object.entries(this.#record.thermal).filter(
      ([id, { lastHotAt }]) =>
        id !== gpuId && lastHotAt !== null && now - lastHotAt < windowsKeptMs,
    )
    const entries = [...others, [gpuId, window] as const].slice(-limits.gpusPerAgentMax)
    return Object.fromEntries(entries)
  }

  #stopped(now: Instant): AgentHealth['stopped'] {
    if (this.#unhealthy) return { reason: `unhealthy: ${this.#errorText(now)}`, passing: false }
    const hot = this.#inventory.gpus.find(({ id }) => this.#levels.get(id) === 'critical')
    if (hot === undefined) return null
    const reason = `${hot.name} was above ${criticalTemperatureC} °C; new work below ${cooledTemperatureC} °C`
    return { reason, passing: true }
  }

  /** Whether it is healthy has changed, by an outcome or because old ones do not count any more. */
  #turn(now: Instant): readonly HealthNews[] {
    const unhealthy = this.#failsTooOften(now)
    if (unhealthy === this.#unhealthy) return []
    this.#unhealthy = unhealthy
    return [{ type: unhealthy ? 'became_unhealthy' : 'became_healthy', text: this.#errorText(now) }]
  }

  #failsTooOften(now: Instant): boolean {
    return (errorTally(this.#record.errors, now).rate ?? 0) > errorRateMax
  }

  #errorText(now: Instant): string {
    const { outcomes, failed, rate } = errorTally(this.#record.errors, now)
    const share = rate === null ? '' : `, ${Number((rate * 100).toFixed(1))} %`
    return `${failed} of ${outcomes} inferences failed in 24 h${share}; ${errorRateMax * 100} % are allowed`
  }
}

const windowsKeptMs = 48 * 60 * 60 * 1000

const isThermal = ({ predicate }: { readonly predicate: string }): boolean =>
  predicate === 'thermal-events'

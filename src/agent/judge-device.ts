import type { Instant } from '../clock.ts'
import { figuresOf } from '../capability/card-figures.ts'
import { lookUpCard } from '../capability/card-table.ts'
import { driverFactsOf, judgeDriver } from '../capability/driver-blacklist.ts'
import { judgeEligibility, modelMemoryMb } from '../capability/eligibility.ts'
import { noOutcomes } from '../capability/error-window.ts'
import { capabilityScore } from '../capability/score.ts'
import { noThermalEvents } from '../capability/thermal-window.ts'
import type { GpuInventory, Inventory } from '../protocol/gpu.ts'

/** What a device is good for, as far as its inventory tells: before it has served, and for no model in particular. */
export type DeviceJudgement = {
  readonly id: string
  readonly eligible: boolean
  /** Why not, in words with the figures; empty when it is eligible. */
  readonly reasons: readonly string[]
  /** Known trouble with the driver, also where it can be worked around. */
  readonly driverNotes: readonly string[]
  /** What llama.cpp may drive it with, best first, without what its driver is known to break; null: not known. */
  readonly backends: readonly NonNullable<GpuInventory['backends']>[number][] | null
  /** 0 to 100. */
  readonly score: number
  /** How the score comes about, and where its figures are from. */
  readonly explanation: string
  /** Where the figures are from that no probe reads. */
  readonly figuresFrom: string
}

export function judgeDevice(
  inventory: Inventory,
  gpu: GpuInventory,
  now: Instant,
): DeviceJudgement {
  const figures = figuresOf(lookUpCard(gpu), gpu)
  const driver = judgeDriver(driverFactsOf(inventory, gpu))
  const { eligible, answers } = judgeEligibility({
    gpu,
    computeCapabilityByTable: figures.computeCapability,
    driver,
    thermal: noThermalEvents,
    errors: noOutcomes,
    now,
  })
  const { score, explanation } = capabilityScore({
    memoryMb: modelMemoryMb(gpu),
    bandwidthGBs: figures.bandwidthGBs,
    fp16Tflops: figures.fp16Tflops,
    int8: figures.int8,
    measuredDecode: null,
    measuredPrefill: null,
  })
  return {
    id: gpu.id,
    eligible,
    reasons: answers.filter(answer => !answer.passes).map(answer => answer.reason),
    driverNotes: driver.matches.map(entry => `${entry.reason} ${entry.workaround.text}`.trim()),
    backends: gpu.backends?.filter(backend => !driver.avoidBackends.includes(backend)) ?? null,
    score,
    explanation: `${explanation} (${figures.origin})`,
    figuresFrom: figures.origin,
  }
}

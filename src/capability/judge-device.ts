import type { Instant } from '../clock.ts'
import type { GpuInventory, Inventory } from '../protocol/gpu.ts'
import { figuresOf } from './card-figures.ts'
import { lookUpCard } from './card-table.ts'
import { driverFactsOf, judgeDriver } from './driver-blacklist.ts'
import { judgeEligibility, modelMemoryMb, type Answer } from './eligibility.ts'
import { noOutcomes, type ErrorWindow } from './error-window.ts'
import { capabilityScore, type DeviceSpeed } from './score.ts'
import { noThermalEvents, type ThermalWindow } from './thermal-window.ts'

/** How a device behaved while it served. */
export type DeviceHistory = { readonly thermal: ThermalWindow; readonly errors: ErrorWindow }

const noHistory: DeviceHistory = { thermal: noThermalEvents, errors: noOutcomes }

/** What a device is good for, as far as its inventory, what was measured of it and how it behaved tell. */
export type DeviceJudgement = {
  readonly id: string
  readonly eligible: boolean
  /** Why not, in words with the figures; empty when it is eligible. */
  readonly reasons: readonly string[]
  /** What every predicate says, those that it passes included. */
  readonly answers: readonly Answer[]
  /** Known trouble with the driver, also where it can be worked around. */
  readonly driverNotes: readonly string[]
  /** What llama.cpp may drive it with, best first, without what its driver is known to break; null: not known. */
  readonly backends: readonly NonNullable<GpuInventory['backends']>[number][] | null
  /** 0 to 100. */
  readonly score: number
  readonly speed: DeviceSpeed
  /** How the score comes about, and where its figures are from. */
  readonly explanation: string
  /** Where the figures are from that no probe reads. */
  readonly figuresFrom: string
}

/** @param history absent: the device has not served yet, so its inventory alone decides */
export function judgeDevice(
  inventory: Inventory,
  gpu: GpuInventory,
  now: Instant,
  history: DeviceHistory = noHistory,
): DeviceJudgement {
  const figures = figuresOf(lookUpCard(gpu), gpu)
  const driver = judgeDriver(driverFactsOf(inventory, gpu))
  const { eligible, answers } = judgeEligibility({
    gpu,
    computeCapabilityByTable: figures.computeCapability,
    driver,
    ...history,
    now,
  })
  const { score, speed, explanation } = capabilityScore({
    memoryMb: modelMemoryMb(gpu),
    bandwidthGBs: figures.bandwidthGBs,
    fp16Tflops: figures.fp16Tflops,
    int8: figures.int8,
    measuredDecode: gpu.measured?.decode ?? null,
    measuredPrefill: gpu.measured?.prefill ?? null,
  })
  return {
    id: gpu.id,
    eligible,
    answers,
    reasons: answers.filter(answer => !answer.passes).map(answer => answer.reason),
    driverNotes: driver.matches.map(entry => `${entry.reason} ${entry.workaround.text}`.trim()),
    backends: gpu.backends?.filter(backend => !driver.avoidBackends.includes(backend)) ?? null,
    score,
    speed,
    explanation: `${explanation} (${figures.origin})`,
    figuresFrom: figures.origin,
  }
}

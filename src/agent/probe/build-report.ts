import type { Instant } from '../../clock.ts'
import { modelMemoryMb } from '../../capability/eligibility.ts'
import type { GpuInventory, Inventory } from '../../protocol/gpu.ts'
import { judgeDevice } from '../../capability/judge-device.ts'
import { software } from '../software.ts'
import { fitModel, type ModelToFit, type Room } from './model-fit.ts'
import type { ProbeReport } from './probe-report.ts'

export type ProbeFacts = Pick<ProbeReport, 'modelsFrom' | 'modelsNote'> & {
  readonly inventory: Inventory
  readonly memoryAvailableBytes: number
  readonly models: readonly ModelToFit[]
  readonly problems: readonly string[]
}

/** Judges what was found; reads nothing. */
export function buildReport(facts: ProbeFacts, now: Instant): ProbeReport {
  const { inventory, memoryAvailableBytes: cpuBytes, models, problems } = facts
  const rooms: readonly (readonly [string, Room])[] = [
    ...inventory.gpus.map(gpu => [gpu.id, roomOf(gpu, cpuBytes)] as const),
    ['cpu', { shared: true, cpuBytes }],
  ]
  return {
    schemaVersion: 1,
    version: software.version,
    inventory,
    memoryAvailableBytes: cpuBytes,
    devices: inventory.gpus.map(gpu => {
      const judgement = judgeDevice(inventory, gpu, now)
      const { reasons, driverNotes, backends } = judgement
      return {
        ...judgement,
        reasons: [...reasons],
        driverNotes: [...driverNotes],
        backends: backends === null ? null : [...backends],
      }
    }),
    modelsFrom: facts.modelsFrom,
    modelsNote: facts.modelsNote,
    models: models.map(model => ({
      name: model.name,
      sizeBytes: model.sizeBytes,
      contextTokens: model.contextTokens,
      slots: model.slots,
      fits: Object.fromEntries(rooms.map(([id, room]) => [id, fitModel(model, room)])),
    })),
    problems: [...problems],
  }
}

function roomOf(gpu: GpuInventory, cpuBytes: number): Room {
  const memoryMb = modelMemoryMb(gpu)
  return {
    gpuBytes: memoryMb === null ? null : memoryMb * 1024 ** 2,
    shared: gpu.kind !== 'discrete',
    cpuBytes,
  }
}

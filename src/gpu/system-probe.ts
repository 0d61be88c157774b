import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import { readSystemText } from './machine.ts'
import {
  nvidiaInventoryFields,
  nvidiaInventoryFieldsOldDriver,
  nvidiaReadingFields,
  parseNvidiaInventory,
  parseNvidiaReadings,
  queryNvidiaSmi,
} from './nvidia-smi.ts'
import { unknownReading, type GpuFindings, type GpuProbe } from './probe.ts'
import { inventoryOfControllers, listControllers } from './systeminformation-graphics.ts'

/** The probe of this machine: nvidia-smi for NVIDIA, the operating system's list for everything else. */
export function createSystemProbe(): GpuProbe {
  let known: readonly GpuInventory[] = []
  return {
    async inventory() {
      const [nvidia, listed] = await Promise.all([findNvidia(), findListed()])
      known = combineFindings(nvidia.gpus, listed.gpus)
      return { gpus: known, problems: [...nvidia.problems, ...listed.problems] }
    },
    async readings() {
      const asksNvidia = known.some(gpu => gpu.source === 'nvidia-smi')
      const answer = asksNvidia ? await queryNvidiaSmi(nvidiaReadingFields) : undefined
      return readingsFor(known, answer?.type === 'answer' ? parseNvidiaReadings(answer.csv) : [])
    },
  }
}

/** nvidia-smi knows its devices best; NVIDIA devices of the list count only when it says nothing (no driver). */
export const combineFindings = (
  nvidia: readonly GpuInventory[],
  listed: readonly GpuInventory[],
): readonly GpuInventory[] =>
  nvidia.length === 0 ? listed : [...nvidia, ...listed.filter(gpu => gpu.vendor !== 'nvidia')]

/** One reading per known device, in the inventory's order. */
export const readingsFor = (
  known: readonly GpuInventory[],
  readings: readonly GpuReading[],
): readonly GpuReading[] =>
  known.map(gpu => readings.find(reading => reading.id === gpu.id) ?? unknownReading(gpu.id))

async function findNvidia(): Promise<GpuFindings> {
  let fields: readonly string[] = nvidiaInventoryFields
  let answer = await queryNvidiaSmi(fields)
  if (answer.type === 'failed' && answer.reason.includes('not a valid field')) {
    fields = nvidiaInventoryFieldsOldDriver
    answer = await queryNvidiaSmi(fields)
  }
  if (answer.type === 'absent') return { gpus: [], problems: [] }
  if (answer.type === 'failed') return { gpus: [], problems: [answer.reason] }
  return { gpus: parseNvidiaInventory(answer.csv, fields), problems: [] }
}

async function findListed(): Promise<GpuFindings> {
  try {
    const controllers = await listControllers()
    return {
      gpus: inventoryOfControllers(controllers, process.platform, readSystemText),
      problems: [],
    }
  } catch (error) {
    return { gpus: [], problems: [`graphics controllers cannot be listed: ${String(error)}`] }
  }
}

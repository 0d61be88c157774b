import { createHash } from 'node:crypto'
import type { DeviceMeasured, GpuInventory, Inventory } from '../../protocol/gpu.ts'
import type { Calibrated, Target } from './calibration.ts'

/** The processor among the devices; GPUs have the ids of their drivers. */
export const processorId = 'processor'

/** What there is to measure on a machine, the processor first: it is quick, and every machine has one. */
export function targetsOf(inventory: Inventory, engineVersion: string): readonly Target[] {
  const { os, arch, cpu, gpus } = inventory
  const { name, physicalCores, logicalCores, features } = cpu
  const common = [engineVersion, os, arch]
  return [
    {
      deviceId: processorId,
      fingerprint: hash([...common, name, physicalCores, logicalCores, [...features].toSorted()]),
    },
    ...gpus.map(gpu => ({
      deviceId: gpu.id,
      fingerprint: hash([
        ...common,
        gpu.name,
        gpu.vramTotalMb,
        gpu.driverVersion,
        gpu.migEnabled ?? null,
        gpu.backends ?? null,
      ]),
    })),
  ]
}

const hash = (facts: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(facts)).digest('hex')

/** The inventory with the figures that were taken of its devices as they are now. */
export function withMeasurements(
  inventory: Inventory,
  engineVersion: string,
  calibrated: readonly Calibrated[],
): Inventory {
  const measuredBy = new Map<string, DeviceMeasured>()
  for (const { deviceId, fingerprint } of targetsOf(inventory, engineVersion)) {
    const known = calibrated.find(each => each.deviceId === deviceId)
    if (known?.fingerprint === fingerprint && known.measured !== null)
      measuredBy.set(deviceId, known.measured)
  }
  const measured = (id: string) => {
    const found = measuredBy.get(id)
    return found === undefined ? {} : { measured: found }
  }
  return {
    ...inventory,
    cpu: { ...inventory.cpu, ...measured(processorId) },
    gpus: inventory.gpus.map(gpu => ({ ...gpu, ...measured(gpu.id) })),
  }
}

/** How to show one device alone to the engine; nothing where there is no way, or the owner has chosen already. */
export function environmentFor(
  gpu: GpuInventory,
  own: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const isUuid = gpu.vendor === 'nvidia' && gpu.id.startsWith('GPU-')
  return isUuid && own['CUDA_VISIBLE_DEVICES'] === undefined ? { CUDA_VISIBLE_DEVICES: gpu.id } : {}
}

/**
 * Whether what the engine measured was this device.
 * @param names devices that the engine had, as it calls them
 * @returns null when it was, else why that cannot be told
 */
export function mismatch(
  gpu: GpuInventory,
  gpus: readonly GpuInventory[],
  names: readonly string[],
): string | null {
  const [name] = names
  if (name === undefined || names.length > 1)
    return `the engine uses ${names.length} devices at once (${names.join(', ')}) and cannot be shown this one alone`
  if (gpus.length === 1) return null
  const [ours, its] = [plain(gpu.name), plain(name)]
  if (ours.includes(its) || its.includes(ours)) return null
  return `the engine does not use this device, but ${name}`
}

const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')

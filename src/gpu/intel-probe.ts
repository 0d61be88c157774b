import { systemClock, type Clock, type Instant } from '../clock.ts'
import type { GpuInventory } from '../protocol/gpu.ts'
import { readLocalMemory, type ReadLocalMemory } from './intel-drm.ts'
import { intelInventory, intelSamples, powerBetween } from './intel-sysfs.ts'
import { unknownReading, type GpuProbe } from './probe.ts'
import { sysfsAt, type Sysfs } from './sysfs.ts'

/**
 * Intel GPUs on Linux, cards and integrated ones. Power is known from the second reading on: the drivers count energy.
 * Utilisation is never known: it takes the right to watch every process (CAP_PERFMON).
 */
export function createIntelProbe(
  sysfs: Sysfs = sysfsAt(),
  clock: Clock = systemClock,
  localMemory: ReadLocalMemory = readLocalMemory,
): GpuProbe {
  let known: readonly GpuInventory[] = []
  const energy = new Map<string, { readonly uj: number | null; readonly at: Instant }>()
  return {
    inventory() {
      known = intelInventory(sysfs, localMemory)
      return Promise.resolve({ gpus: known, problems: [] })
    },
    readings() {
      const now = clock.now()
      const samples = intelSamples(sysfs, localMemory)
      return Promise.resolve(
        known.map(gpu => {
          const sample = samples.find(found => found.reading.id === gpu.id)
          const before = energy.get(gpu.id)
          energy.set(gpu.id, { uj: sample?.energyUj ?? null, at: now })
          if (sample === undefined) return unknownReading(gpu.id)
          const power = powerBetween(before?.uj ?? null, sample.energyUj, now - (before?.at ?? now))
          return { ...sample.reading, power_w: power }
        }),
      )
    },
  }
}

import { modelMemoryMb } from '../capability/eligibility.ts'
import type { GpuInventory } from '../protocol/gpu.ts'
import type { GpuMemory } from './model-need.ts'

/**
 * What the GPUs have for models, by what was measured of them: the engine spreads a model over all that it can use.
 * A device that could not be measured is one that the engine does not use.
 */
export function gpuMemoryOf(gpus: readonly GpuInventory[]): GpuMemory {
  if (gpus.length === 0) return { state: 'none' }
  const measured = gpus.filter(
    ({ measured: figures }) => (figures?.memoryUsableMb ?? null) !== null,
  )
  if (measured.length === 0) return { state: 'unknown' }
  const megabytes = measured.reduce((sum, gpu) => sum + (modelMemoryMb(gpu) ?? 0), 0)
  return {
    state: 'known',
    bytes: megabytes * 1024 ** 2,
    unified: measured.some(({ kind }) => kind !== 'discrete'),
  }
}

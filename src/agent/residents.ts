import type { Footprint } from './evictions.ts'
import { engineOf, externalSourceOf, type Instance } from './instance.ts'
import type { Resident } from './room.ts'

/**
 * The models that have memory, as the one that wants in sees them.
 * @param leaving those whose processes were told to end and are not gone yet
 */
export function residentsOf(held: readonly Instance[], leaving: readonly Instance[]): Resident[] {
  const inMemory = held.filter(
    instance => engineOf(instance) !== undefined && externalSourceOf(instance.load) === undefined,
  )
  const all = [...inMemory, ...leaving]
  return all.map(instance => {
    const { sha256 } = instance.load.manifest
    const isShared = all.some(other => other !== instance && other.load.manifest.sha256 === sha256)
    return {
      instanceId: instance.load.instanceId,
      sha256,
      lastUsedAt: instance.lastUsedAt,
      state: leaving.includes(instance) ? 'later' : stateOf(instance),
      hiddenBytes:
        instance.phase.name === 'ready' ? mappedBytes(instance) : hiddenWhileLoading(instance),
      frees: isShared ? ownBytes(instance) : instance.footprint,
    }
  })
}

function stateOf(instance: Instance): Resident['state'] {
  if (instance.stay.pinned === true) return 'pinned'
  return isIdle(instance) ? 'idle' : 'later'
}

/** In memory, and nobody wants anything of it. */
export const isIdle = ({ phase, running, waiting }: Instance): boolean =>
  phase.name === 'ready' && running.size === 0 && waiting.length === 0

/** Weights in main memory; where they lie on a GPU the rest of the file is no longer needed here. */
const mappedBytes = ({ footprint, load }: Instance): number =>
  Math.min(load.manifest.sizeBytes, footprint.mainBytes)

const hiddenWhileLoading = ({ footprint }: Instance): number => footprint.mainBytes

/** What comes back while another instance of the same file stays. */
const ownBytes = (instance: Instance): Footprint => ({
  ...instance.footprint,
  mainBytes: instance.footprint.mainBytes - mappedBytes(instance),
})

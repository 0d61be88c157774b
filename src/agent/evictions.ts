import type { Instant } from '../clock.ts'
import type { InstanceId } from '../protocol/ids.ts'

/** Memory of both kinds, bytes. */
export type Footprint = { readonly mainBytes: number; readonly gpuBytes: number }

/** A model in memory that may go, and what comes back when it does. */
export type Evictable = {
  readonly instanceId: InstanceId
  /** When it last had a job, or was loaded. */
  readonly lastUsedAt: Instant
  readonly frees: Footprint
}

/**
 * Which models should go so that a shortfall is met: the least recently used ones, and none that is not needed for it.
 * A question only; asking changes nothing.
 * @param shortBy bytes that are missing; zero or less: nothing is missing of that kind
 * @returns null when all of them together would not suffice
 */
export function chooseEvictions(
  candidates: readonly Evictable[],
  shortBy: Footprint,
): readonly InstanceId[] | null {
  const chosen: Evictable[] = []
  for (const candidate of candidates.toSorted(byLastUse)) {
    if (suffices(chosen, shortBy)) break
    // What frees nothing of the kind that is missing would go for nothing.
    if (helps(candidate, shortBy)) chosen.push(candidate)
  }
  if (!suffices(chosen, shortBy)) return null
  // A larger one that came later may make earlier ones unnecessary; the most recently used is spared first.
  for (const candidate of chosen.toReversed()) {
    const others = chosen.filter(other => other !== candidate)
    if (suffices(others, shortBy)) chosen.splice(chosen.indexOf(candidate), 1)
  }
  return chosen.map(({ instanceId }) => instanceId)
}

const helps = ({ frees }: Evictable, shortBy: Footprint): boolean =>
  (shortBy.mainBytes > 0 && frees.mainBytes > 0) || (shortBy.gpuBytes > 0 && frees.gpuBytes > 0)

function suffices(chosen: readonly Evictable[], shortBy: Footprint): boolean {
  const sum = (of: (frees: Footprint) => number) =>
    chosen.reduce((total, { frees }) => total + of(frees), 0)
  return (
    sum(frees => frees.mainBytes) >= shortBy.mainBytes &&
    sum(frees => frees.gpuBytes) >= shortBy.gpuBytes
  )
}

/** The id decides between equals, so that the choice depends on nothing but its inputs. */
const byLastUse = (a: Evictable, b: Evictable): number =>
  a.lastUsedAt - b.lastUsedAt || (a.instanceId < b.instanceId ? -1 : 1)

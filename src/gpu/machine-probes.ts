import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import { normalPciBusId } from './pci.ts'
import { unknownReading, type GpuFindings, type GpuProbe } from './probe.ts'

/** Who is asked, with the name that stands in a problem when it breaks. */
export type NamedProbe = { readonly name: string; readonly probe: GpuProbe }

/**
 * Several probes as one, the best first. A device that two of them find is the first one's, with its id and its
 * readings; both are asked at the same time. A probe that throws is a problem in words and finds nothing: one broken
 * driver never hides the devices of another.
 */
export function joinProbes(probes: readonly NamedProbe[]): GpuProbe {
  let owners: readonly { readonly gpu: GpuInventory; readonly owner: NamedProbe }[] = []
  return {
    async inventory() {
      const found = await Promise.all(probes.map(named => findingsOf(named)))
      owners = withoutDuplicates(
        found.map((findings, at) => findings.gpus.map(gpu => ({ gpu, owner: probes[at] }))),
      ).flatMap(({ gpu, owner }) => (owner === undefined ? [] : [{ gpu, owner }]))
      return {
        gpus: owners.map(({ gpu }) => gpu),
        problems: found.flatMap(findings => findings.problems),
        memoryModules: found.flatMap(findings => findings.memoryModules ?? []),
      }
    },
    async readings() {
      const asked = [...new Set(owners.map(({ owner }) => owner))]
      const answers = new Map(
        await Promise.all(asked.map(async named => [named, await readingsOf(named)] as const)),
      )
      return owners.map(
        ({ gpu, owner }) =>
          answers.get(owner)?.find(reading => reading.id === gpu.id) ?? unknownReading(gpu.id),
      )
    },
  }
}

/**
 * Drops devices that an earlier group has: the same place on the bus, or, where a device's place is not known, the same
 * vendor. Two devices of one group are never taken for one.
 */
export function withoutDuplicates<T extends { readonly gpu: GpuInventory }>(
  groups: readonly (readonly T[])[],
): T[] {
  const kept: T[] = []
  for (const group of groups) {
    const before = kept.map(({ gpu }) => ({
      vendor: gpu.vendor,
      bus: normalPciBusId(gpu.pciBusId),
    }))
    kept.push(
      ...group.filter(({ gpu }) => {
        const bus = normalPciBusId(gpu.pciBusId)
        return !before.some(known =>
          bus === null || known.bus === null ? known.vendor === gpu.vendor : known.bus === bus,
        )
      }),
    )
  }
  return kept
}

async function findingsOf(named: NamedProbe): Promise<GpuFindings> {
  try {
    return await named.probe.inventory()
  } catch (error) {
    return { gpus: [], problems: [`${named.name} failed: ${String(error)}`] }
  }
}

/** A probe that breaks while the agent runs leaves its devices unknown until it answers again. */
async function readingsOf(named: NamedProbe): Promise<readonly GpuReading[]> {
  try {
    return await named.probe.readings()
  } catch {
    return []
  }
}

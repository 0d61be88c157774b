import type { CpuInventory } from '../protocol/gpu.ts'
import { numberIn } from './sysfs.ts'

/** What lscpu tells; null where it does not. */
export type LscpuFacts = {
  readonly name: string | null
  readonly physicalCores: number | null
  readonly flags: string
  readonly numaNodes: number | null
  readonly cacheBytes: NonNullable<CpuInventory['cacheBytes']>
}

/**
 * Reads the English output of lscpu, of all its forms: since 2.34 a cache's figure is the sum over all of them (`2 MiB`,
 * later with `(4 instances)`); before, it was one cache's (`1024K`), of which the sum is not known.
 */
export function parseLscpu(text: string): LscpuFacts {
  const field = (name: string) =>
    new RegExp(`^\\s*${name}:[ \\t]+(\\S.*)$`, 'm').exec(text)?.[1]?.trim() ?? null
  const [cores, sockets] = [
    numberIn(field('Core\\(s\\) per (?:socket|cluster)')),
    numberIn(field('(?:Socket|Cluster)\\(s\\)')),
  ]
  const name = field('Model name')
  return {
    name: name === null || name === '-' ? null : name.slice(0, 256),
    physicalCores: cores === null || sockets === null ? null : cores * sockets,
    flags: field('Flags') ?? '',
    numaNodes: numberIn(field('NUMA node\\(s\\)')),
    cacheBytes: {
      l1d: sumBytes(field('L1d(?: cache)?')),
      l2: sumBytes(field('L2(?: cache)?')),
      l3: sumBytes(field('L3(?: cache)?')),
    },
  }
}

function sumBytes(text: string | null): number | null {
  const [, amount = null, unit = ''] =
    /^(\d{1,9}(?:[.,]\d+)?) (KiB|MiB|GiB)\b/.exec(text ?? '') ?? []
  const value = numberIn(amount?.replace(',', '.'))
  if (value === null) return null
  const factor = unit === 'GiB' ? 1024 ** 3 : unit === 'MiB' ? 1024 ** 2 : 1024
  return Math.round(value * factor)
}

import type { CpuInventory } from '../protocol/gpu.ts'
import { numberIn, type Sysfs } from './sysfs.ts'

type CacheBytes = NonNullable<CpuInventory['cacheBytes']>

const cpus = '/sys/devices/system/cpu'

/**
 * Adds up the caches that the kernel lists. Each is listed once for every processor that shares it, so each is known by
 * its level, kind and sharers and counted once. A level that no processor lists is null (virtual machines hide some).
 */
export function readCaches(sysfs: Sysfs): CacheBytes {
  const seen = new Set<string>()
  const totals = new Map<string, number>()
  for (const cpu of sysfs.list(cpus)) {
    if (!/^cpu\d{1,5}$/.test(cpu)) continue
    const dir = `${cpus}/${cpu}/cache`
    for (const index of sysfs.list(dir)) {
      const file = (name: string) => sysfs.read(`${dir}/${index}/${name}`)?.trim() ?? ''
      const key = keyOf(file('level'), file('type'))
      const bytes = sizeBytes(file('size'))
      const place = `${key ?? ''} ${file('shared_cpu_list') || cpu}`
      if (key === null || bytes === null || seen.has(place)) continue
      seen.add(place)
      totals.set(key, (totals.get(key) ?? 0) + bytes)
    }
  }
  return {
    l1d: totals.get('l1d') ?? null,
    l2: totals.get('l2') ?? null,
    l3: totals.get('l3') ?? null,
  }
}

/** @returns how many NUMA nodes with processors or memory the kernel lists; null without NUMA support */
export function readNumaNodes(sysfs: Sysfs): number | null {
  const nodes = sysfs.list('/sys/devices/system/node').filter(name => /^node\d{1,5}$/.test(name))
  return nodes.length === 0 ? null : nodes.length
}

function keyOf(level: string, type: string): 'l1d' | 'l2' | 'l3' | null {
  if (type === 'Instruction') return null
  switch (level) {
    case '1':
      return 'l1d'
    case '2':
      return 'l2'
    case '3':
      return 'l3'
    default:
      return null
  }
}

/** `32K`, `1024K`, `32768K`, `32M` */
function sizeBytes(text: string): number | null {
  const [, amount = null, unit = ''] = /^(\d{1,9})([KMG]?)$/.exec(text) ?? []
  const value = numberIn(amount)
  if (value === null) return null
  return value * { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[unit as '' | 'K' | 'M' | 'G']
}

import type { CpuInventory } from '../protocol/gpu.ts'
import { numberIn } from './sysfs.ts'

/** Subtrees, because one name that a Mac does not know would make sysctl complain, and the names differ. */
export const sysctlArguments = ['hw', 'machdep.cpu', 'iogpu'] as const

/** `name: value` lines. */
export function parseSysctl(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf(':')
    if (at > 0) values.set(line.slice(0, at).trim(), line.slice(at + 1).trim())
  }
  return values
}

/** Main memory in MB and the owner's limit for the GPU, which is null where it is not set. */
export function macMemory(sysctl: ReadonlyMap<string, string>): {
  readonly totalMb: number | null
  readonly wiredLimitMb: number | null
} {
  const bytes = numberIn(sysctl.get('hw.memsize'))
  const limit = numberIn(sysctl.get('iogpu.wired_limit_mb'))
  return {
    totalMb: bytes === null ? null : Math.round(bytes / 1024 ** 2),
    wiredLimitMb: limit === null || limit <= 0 ? null : limit,
  }
}

/**
 * Cache bytes summed over the cores of each level of performance. The plain `hw.l1dcachesize` shows the efficiency
 * cores' alone (google/benchmark#1310).
 */
export function macCaches(
  sysctl: ReadonlyMap<string, string>,
): NonNullable<CpuInventory['cacheBytes']> {
  const number = (name: string) => numberIn(sysctl.get(name))
  let l1d: number | null = null
  let l2: number | null = null
  for (let level = 0; level < 8; level += 1) {
    const cores = number(`hw.perflevel${level}.physicalcpu`)
    const perL2 = number(`hw.perflevel${level}.cpusperl2`)
    if (cores === null) break
    l1d = sum(l1d, cores, number(`hw.perflevel${level}.l1dcachesize`))
    l2 = sum(
      l2,
      perL2 === null || perL2 === 0 ? null : Math.ceil(cores / perL2),
      number(`hw.perflevel${level}.l2cachesize`),
    )
  }
  const cores = number('hw.physicalcpu')
  return {
    l1d: l1d ?? sum(null, cores, number('hw.l1dcachesize')),
    l2: l2 ?? sum(null, cores, number('hw.l2cachesize')),
    l3: number('hw.l3cachesize'),
  }
}

/** @returns instruction sets in our names, of `hw.optional` */
export function macFeatures(sysctl: ReadonlyMap<string, string>): string[] {
  const has = (name: string) => sysctl.get(`hw.optional.${name}`) === '1'
  return Object.entries(optional)
    .filter(([name]) => has(name))
    .map(([, feature]) => feature)
    .filter((feature, at, all) => all.indexOf(feature) === at)
    .sort()
}

const optional: Readonly<Record<string, string>> = {
  neon: 'neon',
  AdvSIMD: 'neon',
  neon_fp16: 'fp16',
  'arm.FEAT_FP16': 'fp16',
  'arm.FEAT_DotProd': 'dotprod',
  'arm.FEAT_I8MM': 'i8mm',
  'arm.FEAT_BF16': 'bf16',
  'arm.FEAT_SME': 'sme',
  avx1_0: 'avx',
  avx2_0: 'avx2',
  f16c: 'f16c',
  fma: 'fma',
  bmi2: 'bmi2',
  avx512f: 'avx512f',
  avx512bw: 'avx512bw',
  avx512vl: 'avx512vl',
  avx512vbmi: 'avx512vbmi',
  avx512vnni: 'avx512_vnni',
}

function sum(total: number | null, count: number | null, each: number | null): number | null {
  return count === null || each === null || each <= 0 ? total : (total ?? 0) + count * each
}

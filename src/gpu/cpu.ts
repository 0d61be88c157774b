import os from 'node:os'
import { cpu, cpuFlags } from 'systeminformation'
import type { CpuInventory } from '../protocol/gpu.ts'
import { readCgroupLimits, type ReadText } from './cgroup.ts'

/** Flag of Linux, macOS or Windows → the name we use, for the instruction sets that llama.cpp has code for. */
const featureNames: Readonly<Record<string, string>> = {
  sse3: 'sse3',
  pni: 'sse3',
  ssse3: 'ssse3',
  avx: 'avx',
  'avx1.0': 'avx',
  avx2: 'avx2',
  f16c: 'f16c',
  fma: 'fma',
  bmi2: 'bmi2',
  avx_vnni: 'avx_vnni',
  avx512f: 'avx512f',
  avx512bw: 'avx512bw',
  avx512vl: 'avx512vl',
  avx512vbmi: 'avx512vbmi',
  avx512_vnni: 'avx512_vnni',
  avx512_bf16: 'avx512_bf16',
  amx_tile: 'amx_tile',
  amx_int8: 'amx_int8',
  amx_bf16: 'amx_bf16',
  asimd: 'neon',
  neon: 'neon',
  asimddp: 'dotprod',
  asimdhp: 'fp16',
  i8mm: 'i8mm',
  bf16: 'bf16',
  sve: 'sve',
  sve2: 'sve2',
  sme: 'sme',
}

/** The instruction sets in a text of flags; on arm64 `neon` is part of the architecture. */
export function cpuFeatures(flags: string, arch: string): string[] {
  const found = new Set(arch === 'arm64' ? ['neon'] : [])
  for (const flag of flags.toLowerCase().split(/\s+/)) {
    const name = Object.hasOwn(featureNames, flag) ? featureNames[flag] : undefined
    if (name !== undefined) found.add(name)
  }
  return [...found].sort()
}

export type CpuFacts = {
  readonly name: string | null
  readonly physicalCores: number | null
  readonly flags: string
}

/** Reads `/proc/cpuinfo` of x86 and arm64; what it does not say is null. */
export function parseProcCpuinfo(text: string): CpuFacts {
  const field = (block: string, name: string) =>
    new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(block)?.[1]?.trim()
  const cores = new Set<string>()
  for (const block of text.split(/\n\s*\n/)) {
    const core = field(block, 'core id')
    if (core !== undefined) cores.add(`${field(block, 'physical id') ?? '0'}/${core}`)
  }
  return {
    name: field(text, 'model name') ?? null,
    physicalCores: cores.size === 0 ? null : cores.size,
    flags: field(text, 'flags') ?? field(text, 'Features') ?? '',
  }
}

/**
 * The processor as this process may use it: inside a container or service with a CPU quota the cores are the
 * quota's (rounded down, at least one), not the machine's.
 */
export async function readCpu(read: ReadText): Promise<CpuInventory> {
  const facts = await cpuFacts(read)
  const quota = readCgroupLimits(read).cpus
  const logicalCores = coresWithin(quota, os.availableParallelism())
  return {
    name: (facts.name ?? 'unknown').slice(0, 256),
    physicalCores: Math.min(logicalCores, facts.physicalCores ?? logicalCores),
    logicalCores,
    features: cpuFeatures(facts.flags, os.arch()),
  }
}

/** @returns whole cores under a quota (null: none): at least 1, at most what the machine has */
export const coresWithin = (quotaCpus: number | null, machineCores: number): number =>
  Math.max(1, Math.min(machineCores, quotaCpus === null ? machineCores : Math.floor(quotaCpus)))

async function cpuFacts(read: ReadText): Promise<CpuFacts> {
  const text = read('/proc/cpuinfo')
  const fromLinux = text === null ? null : parseProcCpuinfo(text)
  if (fromLinux !== null && fromLinux.name !== null && fromLinux.physicalCores !== null)
    return fromLinux
  const [facts, flags] = await Promise.all([cpu(), cpuFlags()])
  const name = `${facts.manufacturer} ${facts.brand}`.trim()
  return {
    name: fromLinux?.name ?? (name === '' ? (os.cpus()[0]?.model ?? null) : name),
    physicalCores: fromLinux?.physicalCores ?? (facts.physicalCores || null),
    flags: fromLinux?.flags || flags,
  }
}

import os from 'node:os'
import { cpu, cpuFlags } from 'systeminformation'
import type { CpuInventory } from '../protocol/gpu.ts'
import { macCaches, macFeatures, parseSysctl, sysctlArguments } from './apple-sysctl.ts'
import { readCgroupLimits } from './cgroup.ts'
import { readCaches, readNumaNodes } from './cpu-cache.ts'
import { cpuFeatures } from './cpu-features.ts'
import { parseLscpu, type LscpuFacts } from './cpu-lscpu.ts'
import { windowsCpuFlags } from './cpu-windows.ts'
import { runCommand, type RunCommand } from './machine-command.ts'
import { numberIn, type Sysfs } from './sysfs.ts'

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
    name: field(text, 'model name')?.slice(0, 256) || null,
    physicalCores: cores.size === 0 ? null : cores.size,
    flags: field(text, 'flags') ?? field(text, 'Features') ?? '',
  }
}

/**
 * The processor as this process may use it: inside a container or service with a CPU quota the cores are the
 * quota's (rounded down, at least one), not the machine's. Caches and NUMA nodes are the machine's.
 */
export async function readCpu(sysfs: Sysfs, run: RunCommand = runCommand): Promise<CpuInventory> {
  const facts = await factsOf(sysfs, run)
  const quota = readCgroupLimits(sysfs.read).cpus
  const logicalCores = coresWithin(quota, os.availableParallelism())
  return {
    name: (facts.name ?? 'unknown').slice(0, 256),
    physicalCores: Math.min(logicalCores, facts.physicalCores ?? logicalCores),
    logicalCores,
    features: cpuFeatures(facts.flags, os.arch()),
    cacheBytes: facts.cacheBytes,
    numaNodes: facts.numaNodes,
  }
}

/** @returns whole cores under a quota (null: none): at least 1, at most what the machine has */
export const coresWithin = (quotaCpus: number | null, machineCores: number): number =>
  Math.max(1, Math.min(machineCores, quotaCpus === null ? machineCores : Math.floor(quotaCpus)))

const noCaches = { l1d: null, l2: null, l3: null }
const commandTimeLimitMs = 5_000

async function factsOf(sysfs: Sysfs, run: RunCommand): Promise<LscpuFacts> {
  const text = sysfs.read('/proc/cpuinfo')
  if (text !== null) return linuxFacts(sysfs, parseProcCpuinfo(text), run)
  return os.platform() === 'darwin' ? macFacts(run) : otherFacts()
}

/**
 * arm64's `/proc/cpuinfo` gives numbers for names and nothing of cores; lscpu knows the names. A container can hide
 * `/sys`, and lscpu then knows no more, so what neither tells stays null.
 */
async function linuxFacts(sysfs: Sysfs, told: CpuFacts, run: RunCommand): Promise<LscpuFacts> {
  const own = { ...told, numaNodes: readNumaNodes(sysfs), cacheBytes: readCaches(sysfs) }
  if (own.name !== null && own.physicalCores !== null) return own
  const answer = await run(['lscpu'], commandTimeLimitMs)
  const lscpu = parseLscpu(answer.type === 'answer' ? answer.stdout : '')
  return {
    ...own,
    name: own.name ?? lscpu.name ?? os.cpus()[0]?.model ?? null,
    physicalCores: own.physicalCores ?? lscpu.physicalCores,
    numaNodes: own.numaNodes ?? lscpu.numaNodes,
    cacheBytes: {
      l1d: own.cacheBytes.l1d ?? lscpu.cacheBytes.l1d,
      l2: own.cacheBytes.l2 ?? lscpu.cacheBytes.l2,
      l3: own.cacheBytes.l3 ?? lscpu.cacheBytes.l3,
    },
  }
}

/** systeminformation knows few of Apple's instruction sets and the efficiency cores' caches alone. */
async function macFacts(run: RunCommand): Promise<LscpuFacts> {
  const answer = await run(['/usr/sbin/sysctl', ...sysctlArguments], commandTimeLimitMs)
  const sysctl = parseSysctl(answer.type === 'answer' ? answer.stdout : '')
  return {
    name: sysctl.get('machdep.cpu.brand_string') ?? os.cpus()[0]?.model ?? null,
    physicalCores: numberIn(sysctl.get('hw.physicalcpu')),
    flags: `${macFeatures(sysctl).join(' ')} ${sysctl.get('machdep.cpu.features') ?? ''}`.trim(),
    numaNodes: null,
    cacheBytes: macCaches(sysctl),
  }
}

async function otherFacts(): Promise<LscpuFacts> {
  const [facts, flags] = await Promise.all([cpu(), cpuFlags()])
  const name = `${facts.manufacturer} ${facts.brand}`.trim()
  return {
    name: name === '' ? (os.cpus()[0]?.model ?? null) : name,
    physicalCores: facts.physicalCores || null,
    flags: `${flags} ${windowsCpuFlags()}`.trim(),
    numaNodes: null,
    // Windows tells the sums of L2 and L3; of L1 systeminformation repeats what it finds first.
    cacheBytes: { ...noCaches, l2: facts.cache.l2 || null, l3: facts.cache.l3 || null },
  }
}

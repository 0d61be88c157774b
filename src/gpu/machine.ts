import { readFileSync } from 'node:fs'
import os from 'node:os'
import type { Inventory } from '../protocol/gpu.ts'
import { limits } from '../protocol/limits.ts'
import { readCgroupLimits, type ReadText } from './cgroup.ts'
import { readCpu } from './cpu.ts'
import { estimateMemoryBandwidth } from './memory-bandwidth.ts'
import type { GpuFindings } from './probe.ts'
import { sysfsAt, type Sysfs } from './sysfs.ts'

/** Reads a text file of the operating system; null when it is not there (most are Linux's alone). */
export const readSystemText: ReadText = path => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** Reads a binary table of the operating system; null when it is not there or not for this user. */
const readSystemBytes = (path: string): Uint8Array | null => {
  try {
    return readFileSync(path)
  } catch {
    return null
  }
}

/** Everything about this machine that the pool is told in hello. */
export async function readMachine(
  { gpus, memoryModules = [] }: Pick<GpuFindings, 'gpus' | 'memoryModules'>,
  sysfs: Sysfs = sysfsAt(),
): Promise<Inventory> {
  return {
    hostname: os.hostname().slice(0, 253),
    os: `${os.platform()} ${os.release()}`.slice(0, 64),
    arch: os.arch().slice(0, 32),
    memoryTotalMb: Math.round(readMemory(sysfs.read).totalBytes / 1024 ** 2),
    cpu: {
      ...(await readCpu(sysfs)),
      memoryBandwidthGBs: estimateMemoryBandwidth(readSystemBytes, memoryModules),
    },
    gpus: gpus.slice(0, limits.gpusPerAgentMax),
  }
}

export type Memory = {
  readonly totalBytes: number
  /** What a new process can get without swapping. Mapped model files count as available: the kernel can drop them. */
  readonly availableBytes: number
}

/** Memory as this process may use it: the machine's, or its container's when that is less. */
export function readMemory(read: ReadText = readSystemText): Memory {
  return memoryWithin(readCgroupLimits(read), {
    totalBytes: os.totalmem(),
    availableBytes: availableOf(read('/proc/meminfo')) ?? os.freemem(),
  })
}

/** @returns `MemAvailable` of a `/proc/meminfo` text in bytes; null when it is not there */
export function availableOf(meminfo: string | null): number | null {
  const kb = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo ?? '')?.[1]
  return kb === undefined ? null : Number(kb) * 1024
}

/** The machine's memory, cut down to what a control group leaves. */
export function memoryWithin(
  group: { readonly memoryBytes: number | null; readonly memoryUsedBytes: number | null },
  machine: Memory,
): Memory {
  if (group.memoryBytes === null) return machine
  return {
    totalBytes: Math.min(machine.totalBytes, group.memoryBytes),
    availableBytes: Math.min(
      machine.availableBytes,
      Math.max(0, group.memoryBytes - (group.memoryUsedBytes ?? 0)),
    ),
  }
}

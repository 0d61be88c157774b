import { dlopen, FFIType, ptr } from 'bun:ffi'
import { readFileSync } from 'node:fs'

/** CPU time that a process has used so far, in microseconds. */
export type CpuUsage = {
  readonly totalUs: number
  /** The thread that runs the event loop; the rest is database, garbage collection and compilation. */
  readonly mainThreadUs: number
}

/** Memory of one process, in bytes; kernel memory of its sockets is not in it. */
export type MemoryUsage = {
  readonly rssBytes: number
  /** Proportional: a page shared by n processes counts one n-th. */
  readonly pssBytes: number
}

const libc = dlopen('libc.so.6', {
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
}).symbols
/** Seconds and nanoseconds, as clock_gettime writes them. */
const time = new BigInt64Array(2)

/**
 * Asks for the CPU clock of another process: nanoseconds, all its threads, those that have ended too. (`/proc/PID/stat`
 * counts in steps of 10 ms, and the threads' own files forget the ended ones: Bun ends idle helpers.)
 * @throws when the process is gone
 */
export function readCpu(pid: number): CpuUsage {
  // The kernel's CPUCLOCK_SCHED of a process, as clock_getcpuclockid makes it.
  const clockId = (~pid << 3) | 2
  if (libc.clock_gettime(clockId, ptr(time)) !== 0) throw new Error(`process ${pid} is gone`)
  const [seconds = 0n, nanoseconds = 0n] = time
  const mainThread = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8')
  return {
    totalUs: Number(seconds) * 1e6 + Number(nanoseconds) / 1_000,
    mainThreadUs: Number(mainThread.split(' ')[0]) / 1_000,
  }
}

export const readCpuOfAll = (pids: readonly number[]): CpuUsage =>
  pids.map(readCpu).reduce(addCpu, noCpu)

const noCpu: CpuUsage = { totalUs: 0, mainThreadUs: 0 }

const addCpu = (a: CpuUsage, b: CpuUsage): CpuUsage => ({
  totalUs: a.totalUs + b.totalUs,
  mainThreadUs: a.mainThreadUs + b.mainThreadUs,
})

export const cpuBetween = (before: CpuUsage, after: CpuUsage): CpuUsage => ({
  totalUs: after.totalUs - before.totalUs,
  mainThreadUs: after.mainThreadUs - before.mainThreadUs,
})

export function readMemory(pid: number): MemoryUsage {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const bytes = (field: string) => {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]
    if (found === undefined) throw new Error(`/proc/${pid}/smaps_rollup has no ${field}`)
    return Number(found) * 1024
  }
  return { rssBytes: bytes('Rss'), pssBytes: bytes('Pss') }
}

/** Ids of the processes that this one has started and that are alive. */
export function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

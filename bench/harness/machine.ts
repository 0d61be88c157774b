import { readFileSync } from 'node:fs'
import os from 'node:os'
import { readCpuOfAll } from './process-usage.ts'

/** A machine busier than this gives figures about its other work. Shares of all its CPUs together. */
export const judgeLimits = {
  /** One-minute load average before the run, for each CPU. */
  loadAveragePerCpu: 0.6,
  /** CPU taken by processes that do not belong to the benchmark, while it measures. */
  foreignShare: 0.1,
  /** CPU that the hypervisor gave to other machines. */
  stolenShare: 0.02,
} as const

/** What the figures were measured on. */
export type Machine = {
  readonly cpu: string
  readonly cpus: number
  readonly memoryGib: number
  readonly kernel: string
  readonly bun: string
  readonly pinned: boolean
}

export const describeMachine = (pinned: boolean): Machine => ({
  cpu: os.cpus()[0]?.model ?? 'unknown',
  cpus: os.cpus().length,
  memoryGib: Math.round(os.totalmem() / 1024 ** 3),
  kernel: `${os.platform()} ${os.release()}`,
  bun: Bun.version,
  pinned,
})

/** How quiet the machine was. Shares are of all its CPUs together, 0 to 1. */
export type Quiet = {
  readonly loadAverageBefore: number
  readonly foreignShare: number
  readonly stolenShare: number
}

type Ticks = { readonly total: number; readonly busy: number; readonly stolen: number }

/** The kernel's unit in /proc/stat on every Linux that Bun runs on. */
const tickUs = 10_000

/** Watches what the rest of the machine does while something is measured. */
export class MachineWatch {
  #total = 0
  #foreign = 0
  #stolen = 0
  readonly #loadAverageBefore: number

  /** @param loadAverageBefore from before the whole run: later it is the benchmark's own */
  constructor(loadAverageBefore = os.loadavg()[0] ?? 0) {
    this.#loadAverageBefore = loadAverageBefore
  }

  /**
   * Runs one measurement.
   * @param pids the benchmark's own processes that are alive throughout; their CPU time is not foreign
   */
  async during<Result>(pids: readonly number[], measure: () => Promise<Result>): Promise<Result> {
    const own = [process.pid, ...pids]
    const [ticksBefore, cpuBefore] = [readTicks(), readCpuOfAll(own)]
    const result = await measure()
    const [ticksAfter, cpuAfter] = [readTicks(), readCpuOfAll(own)]
    const ownTicks = (cpuAfter.totalUs - cpuBefore.totalUs) / tickUs
    this.#total += ticksAfter.total - ticksBefore.total
    this.#foreign += Math.max(0, ticksAfter.busy - ticksBefore.busy - ownTicks)
    this.#stolen += ticksAfter.stolen - ticksBefore.stolen
    return result
  }

  get quiet(): Quiet {
    const total = Math.max(1, this.#total)
    return {
      loadAverageBefore: this.#loadAverageBefore,
      foreignShare: this.#foreign / total,
      stolenShare: this.#stolen / total,
    }
  }
}

/** @returns why figures taken under these conditions are not judged; empty: they are */
export function disturbances(quiet: Quiet, cpus: number): readonly string[] {
  const loadMax = judgeLimits.loadAveragePerCpu * cpus
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`
  return [
    ...(quiet.loadAverageBefore > loadMax
      ? [
          `the load average was ${quiet.loadAverageBefore.toFixed(2)} before the run, the limit is ${loadMax.toFixed(2)}`,
        ]
      : []),
    ...(quiet.foreignShare > judgeLimits.foreignShare
      ? [
          `other processes took ${percent(quiet.foreignShare)} of the CPU, the limit is ${percent(judgeLimits.foreignShare)}`,
        ]
      : []),
    ...(quiet.stolenShare > judgeLimits.stolenShare
      ? [
          `${percent(quiet.stolenShare)} of the CPU was stolen by other machines, the limit is ${percent(judgeLimits.stolenShare)}`,
        ]
      : []),
  ]
}

function readTicks(): Ticks {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? ''
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, stolen = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number)
  const busy = user + nice + system + irq + soft
  return { total: busy + idle + wait + stolen, busy, stolen }
}

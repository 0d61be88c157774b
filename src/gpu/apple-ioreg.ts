import { numberIn } from './sysfs.ts'

/** `-w 0`: lines are not cut at the width of a terminal. */
export const ioregArguments = ['-r', '-d', '1', '-w', '0', '-c', 'IOAccelerator'] as const

/** What a GPU of a Mac does now, as its driver tells the I/O registry; null where it does not. */
export type IoregGpu = {
  readonly model: string | null
  readonly cores: number | null
  readonly utilizationPct: number | null
  /** Memory that the GPU works with: the system's on an Apple chip, its own on a card. */
  readonly inUseBytes: number | null
}

/** Reads the accelerators of `ioreg`, in its order. */
export function parseIoreg(text: string): IoregGpu[] {
  return text
    .split(/^(?=\s*\+-o )/m)
    .filter(block => /^\s*\+-o \S+\s+<class /.test(block))
    .map(block => {
      const statistics = /"PerformanceStatistics" = \{(.*)\}\s*$/m.exec(block)?.[1] ?? ''
      // The closing quote matters: "In use system memory (driver)" stands beside it and is 0 on newer systems.
      const statistic = (name: string) =>
        numberIn(new RegExp(`"${name}"=(\\d{1,18})(?=[,}]|$)`).exec(statistics)?.[1] ?? null)
      const utilization = statistic('Device Utilization %') ?? statistic('GPU Activity\\(%\\)')
      return {
        model:
          /"model" = (?:"([^"]{1,256})"|<"([^"]{1,256})">)/.exec(block)?.slice(1).find(Boolean) ??
          null,
        cores: numberIn(/"gpu-core-count" = (\d{1,4})$/m.exec(block)?.[1] ?? null),
        utilizationPct: utilization === null || utilization > 100 ? null : utilization,
        inUseBytes: statistic('In use system memory') ?? statistic('inUseVidMemoryBytes'),
      }
    })
}

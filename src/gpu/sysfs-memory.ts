import { numberIn, type Sysfs } from './sysfs.ts'

/** @returns the machine's main memory in MB; null when `/proc/meminfo` does not tell */
export function systemMemoryMb(sysfs: Sysfs): number | null {
  const kb = /^MemTotal:\s+(\d+) kB$/m.exec(sysfs.read('/proc/meminfo') ?? '')?.[1]
  const value = numberIn(kb ?? null)
  return value === null ? null : Math.round(value / 1024)
}

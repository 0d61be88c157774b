import type { CpuInventory } from '../protocol/gpu.ts'
import { parseDmiMemory, type MemoryModule } from './memory-bandwidth-dmi.ts'

export type MemoryBandwidth = NonNullable<CpuInventory['memoryBandwidthGBs']>

/** What a measurement wants: the memory it moves must be far larger than any cache. */
export const copyBytes = 128 * 1024 ** 2

/** The longest a measurement may run, so that it disturbs nobody. */
export const measureMsMax = 100

/**
 * Estimates the bandwidth of main memory in GB/s (1e9 bytes): from the modules that the firmware lists where it may be
 * read (Linux: root) and names their channels, else unknown. Cheap; measuring is done only when asked for.
 * @param readBytes reads a file; null when it may not be read
 */
export function estimateMemoryBandwidth(
  readBytes: (path: string) => Uint8Array | null,
): MemoryBandwidth {
  const table = readBytes('/sys/firmware/dmi/tables/DMI')
  return table === null
    ? { value: null, method: 'unknown' }
    : bandwidthOfModules(parseDmiMemory(table), 'dmi')
}

/**
 * Width of all channels times their speed. Modules share a channel when their places name the same one (`P0 CHANNEL A`,
 * `ChannelA-DIMM1`, `DIMM_A2`); where a place names none, the channels cannot be counted and the value is null.
 * The slowest module sets the pace.
 */
export function bandwidthOfModules(
  modules: readonly MemoryModule[],
  source: string,
): MemoryBandwidth {
  const unknown = { value: null, method: 'unknown' }
  const channels = new Map<string, number>()
  const speeds: number[] = []
  for (const memory of modules) {
    const channel = channelOf(memory)
    if (channel === null || memory.dataWidthBits === null || memory.megaTransfers === null)
      return unknown
    channels.set(channel, memory.dataWidthBits)
    speeds.push(memory.megaTransfers)
  }
  if (speeds.length === 0) return unknown
  const bytes = [...channels.values()].reduce((sum, bits) => sum + bits / 8, 0)
  return {
    value: Math.round(bytes * Math.min(...speeds)) / 1000,
    method: `${source}: ${channels.size} channels at ${Math.min(...speeds)} MT/s`,
  }
}

function channelOf(memory: MemoryModule): string | null {
  const place = `${memory.bank ?? ''} ${memory.slot ?? ''}`
  const socket = /\b(?:P|CPU|NODE|PROC)\s?_?(\d)/i.exec(place)?.[1] ?? '0'
  const letter =
    /channel\s?_?([A-P])(?:\b|-|_|\d)/i.exec(place)?.[1] ??
    /dimm[ _-]?([A-P])\s?_?\d?\b/i.exec(place)?.[1]
  const number = /channel\s?_?(\d{1,2})\b/i.exec(place)?.[1]
  const channel = letter ?? number
  return channel === undefined ? null : `${socket}/${channel.toUpperCase()}`
}

/** What the worker sends back: bytes moved and the time it took. */
export type CopyResult = { readonly bytes: number; readonly ms: number }

/** @returns GB/s of a copy, reading and writing counted; null when nothing was measured */
export const bandwidthOfCopy = (result: CopyResult): MemoryBandwidth =>
  result.ms <= 0 || result.bytes <= 0
    ? { value: null, method: 'unknown' }
    : {
        value: Math.round((result.bytes / result.ms / 1e6) * 10) / 10,
        method: 'measured copy, one thread',
      }

/**
 * Measures by copying for at most `measureMsMax` in a thread of its own; the caller is not held up. One thread rarely
 * fills all channels, so the figure is a lower bound. A worker that cannot start leaves the value unknown.
 * @param worker where the worker's code lies; an executable has to be told
 */
export async function measureMemoryBandwidth(
  worker: URL | string = new URL('./memory-bandwidth-worker.ts', import.meta.url),
): Promise<MemoryBandwidth> {
  const thread = new Worker(worker)
  const { promise, resolve } = Promise.withResolvers<CopyResult>()
  thread.addEventListener('message', event => resolve(resultIn(event.data)))
  thread.addEventListener('error', () => resolve({ bytes: 0, ms: 0 }))
  try {
    return bandwidthOfCopy(await promise)
  } finally {
    thread.terminate()
  }
}

function resultIn(data: unknown): CopyResult {
  if (typeof data !== 'object' || data === null) return { bytes: 0, ms: 0 }
  const { bytes, ms } = data as { readonly bytes?: unknown; readonly ms?: unknown }
  return typeof bytes === 'number' && typeof ms === 'number' ? { bytes, ms } : { bytes: 0, ms: 0 }
}

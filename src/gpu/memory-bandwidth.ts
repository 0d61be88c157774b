import type { CpuInventory } from '../protocol/gpu.ts'
import { parseDmiMemory, type MemoryModule } from './memory-bandwidth-dmi.ts'

export type MemoryBandwidth = NonNullable<CpuInventory['memoryBandwidthGBs']>

/**
 * Estimates the bandwidth of main memory in GB/s (1e9 bytes) from its modules, where they name their channels: as the
 * firmware lists them where that may be read (Linux: root), else as the system has told. What a model really gets of it
 * the agent measures with its processor.
 * @param readBytes reads a file; null when it may not be read
 * @param told modules that the operating system lists (Windows)
 */
export function estimateMemoryBandwidth(
  readBytes: (path: string) => Uint8Array | null,
  told: readonly MemoryModule[] = [],
): MemoryBandwidth {
  const table = readBytes('/sys/firmware/dmi/tables/DMI')
  return table === null
    ? bandwidthOfModules(told, 'wmi')
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

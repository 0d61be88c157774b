import type { GpuInventory } from '../protocol/gpu.ts'
import { isRecord, jsonIn, toldText } from './amd-facts.ts'
import { usableUnifiedMb } from './apple-memory.ts'
import { pciDeviceIdOf } from './pci.ts'
import { numberIn } from './sysfs.ts'

export const profilerArguments = ['SPDisplaysDataType', 'SPHardwareDataType', '-json'] as const

/** What `system_profiler` tells of a Mac's hardware; null where it does not. */
export type MacHardware = {
  readonly chip: string | null
  readonly memoryMb: number | null
}

/** Reads the hardware part of the report. */
export function parseMacHardware(text: string): MacHardware {
  const [hardware] = sectionOf(text, 'SPHardwareDataType')
  return {
    chip: toldText(hardware?.['chip_type']) ?? toldText(hardware?.['cpu_type']),
    memoryMb: sizeMb(toldText(hardware?.['physical_memory'])),
  }
}

/**
 * Reads the graphics part of the report. The GPU of an Apple chip works in the machine's memory: it has no VRAM, and a
 * share of the memory that it may use. Macs with Intel processors have cards, with VRAM, and integrated GPUs.
 * @param memory main memory in MB and the owner's own limit, as `sysctl` tells them
 */
export function parseMacGraphics(
  text: string,
  memory: { readonly totalMb: number | null; readonly wiredLimitMb: number | null },
): GpuInventory[] {
  return sectionOf(text, 'SPDisplaysDataType').flatMap((entry, at) => {
    const name = toldText(entry['sppci_model']) ?? toldText(entry['_name'])
    const told = toldText(entry['spdisplays_vendor']) ?? ''
    if (name === null) return []
    const vendor = vendorOf(`${told} ${name}`)
    const vramTotalMb = sizeMb(toldText(entry['spdisplays_vram']))
    const kind = vendor === 'apple' ? 'unified' : vramTotalMb !== null ? 'discrete' : 'integrated'
    return {
      id: `metal-${at}`,
      vendor,
      kind,
      name,
      vramTotalMb: kind === 'discrete' ? vramTotalMb : null,
      driverVersion: null,
      computeCapability: null,
      pciBusId: null,
      pciDeviceId: pciDeviceIdOf(
        /0x[0-9a-f]{4}/i.exec(told)?.[0] ?? null,
        toldText(entry['spdisplays_device-id']),
      ),
      memoryUsableMb:
        kind === 'unified'
          ? usableUnifiedMb(memory.totalMb, memory.wiredLimitMb)
          : kind === 'discrete'
            ? vramTotalMb
            : null,
      // llama.cpp's Metal code is made for Apple's GPUs; on the others of Intel Macs it is not dependable.
      backends: vendor === 'apple' ? ['metal'] : [],
      readBy: { name: 'system_profiler', memoryUsableMb: 'sysctl' },
      source: 'system_profiler',
    }
  })
}

/** @returns the cores of the first GPU that tells them */
export function parseMacGpuCores(text: string): number | null {
  const cores = sectionOf(text, 'SPDisplaysDataType').map(entry =>
    numberIn(toldText(entry['sppci_cores'])),
  )
  return cores.find(count => count !== null) ?? null
}

function sectionOf(text: string, name: string): readonly Readonly<Record<string, unknown>>[] {
  const json = jsonIn(text)
  const section = isRecord(json) ? json[name] : undefined
  return Array.isArray(section) ? section.filter(isRecord) : []
}

function vendorOf(text: string): GpuInventory['vendor'] {
  if (/apple/i.test(text)) return 'apple'
  if (/nvidia|0x10de/i.test(text)) return 'nvidia'
  if (/amd|\bati\b|radeon|0x1002/i.test(text)) return 'amd'
  if (/intel|0x8086/i.test(text)) return 'intel'
  return 'other'
}

/** `16 GB`, `1536 MB`; Apple means 1024 with both. */
function sizeMb(text: string | null): number | null {
  const [, amount = null, unit = ''] = /^(\d+(?:\.\d+)?) (MB|GB|TB)$/.exec(text ?? '') ?? []
  const value = numberIn(amount)
  if (value === null) return null
  const factor = unit === 'TB' ? 1024 ** 2 : unit === 'GB' ? 1024 : 1
  return Math.round(value * factor)
}

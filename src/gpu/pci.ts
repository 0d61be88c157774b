import type { GpuInventory } from '../protocol/gpu.ts'
import type { ReadText } from './cgroup.ts'

const vendors: Readonly<Record<string, GpuInventory['vendor']>> = {
  '10de': 'nvidia',
  '1002': 'amd',
  '1022': 'amd',
  '8086': 'intel',
  '106b': 'apple',
}

/** @param id four hexadecimal digits, with or without `0x` */
export const vendorOfPciId = (id: string): GpuInventory['vendor'] =>
  vendors[hex4(id) ?? ''] ?? 'other'

/** Vendor and device as `10de:2684`, lower case; null when either is not a PCI id. */
export function pciDeviceIdOf(vendor: string | null, device: string | null): string | null {
  const [first, second] = [hex4(vendor ?? ''), hex4(device ?? '')]
  return first === null || second === null ? null : `${first}:${second}`
}

/**
 * One form for the addresses that drivers write differently: `00000000:0A:00.0` (NVIDIA), `0000:0a:00.0` (Linux),
 * `0a:00.0` (lspci) and `PCI:10:0:0` are all `0000:0a:00.0`. This is the key that tells whether two probes mean the
 * same device. Null when the text is no address.
 */
export function normalPciBusId(text: string | null): string | null {
  const plain = text?.trim() ?? ''
  const hex = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(plain)
  if (hex !== null) {
    const [, domain = '0', bus = '', device = '', fn = ''] = hex
    return busId(parseInt(domain, 16), parseInt(bus, 16), parseInt(device, 16), Number(fn))
  }
  const decimal = /^PCI:(\d{1,3})(?:@(\d{1,10}))?:(\d{1,2}):([0-7])$/i.exec(plain)
  if (decimal === null) return null
  const [, bus = '', domain = '0', device = '', fn = ''] = decimal
  return busId(Number(domain), Number(bus), Number(device), Number(fn))
}

/** The address of a function on a bus; null when a part is out of its range. */
export function busId(domain: number, bus: number, device: number, fn: number): string | null {
  const fits = (value: number, max: number) => Number.isInteger(value) && value >= 0 && value <= max
  if (!fits(domain, 0xffffffff) || !fits(bus, 255) || !fits(device, 31) || !fits(fn, 7)) return null
  const hex = (value: number, width: number) => value.toString(16).padStart(width, '0')
  return `${hex(domain, 4)}:${hex(bus, 2)}:${hex(device, 2)}.${fn}`
}

/** Where Linux distributions keep the PCI id database. */
const pciIdsPaths = ['/usr/share/hwdata/pci.ids', '/usr/share/misc/pci.ids', '/usr/share/pci.ids']

/** Reads the name that the PCI id database gives a device; null when the database or the device is not there. */
export function pciName(read: ReadText, pciDeviceId: string): string | null {
  for (const path of pciIdsPaths) {
    const text = read(path)
    if (text !== null) return nameInPciIds(text, pciDeviceId)
  }
  return null
}

/** @param text a `pci.ids` file: vendors at the line's start, their devices below after one tab */
export function nameInPciIds(text: string, pciDeviceId: string): string | null {
  const [vendor = '', device = ''] = pciDeviceId.split(':')
  let inVendor = false
  for (const line of text.split('\n')) {
    if (inVendor && line.startsWith(`\t${device}  `)) return line.slice(device.length + 3).trim()
    if (/^[0-9a-f]{4}  /i.test(line)) inVendor = line.startsWith(`${vendor}  `)
  }
  return null
}

function hex4(id: string): string | null {
  return /^(?:0x)?([0-9a-f]{4})$/i.exec(id.trim())?.[1]?.toLowerCase() ?? null
}

import type { GpuInventory } from '../protocol/gpu.ts'
import { isRecord } from './amd-facts.ts'
import { normalPciBusId, pciDeviceIdOf, pciName, vendorOfPciId } from './pci.ts'
import type { Sysfs } from './sysfs.ts'
import type { WindowsReport } from './windows-controllers.ts'

/** A graphics card that the machine has, whether or not anything can use it. */
export type PciDisplay = {
  readonly vendor: GpuInventory['vendor']
  readonly name: string
  readonly pciBusId: string | null
  /** The kernel driver that has it, for example `nouveau`; null: none. */
  readonly driver: string | null
}

/**
 * Lists the cards of the vendors that make GPUs, as the bus shows them: a card whose driver is missing or broken is
 * here too, which no probe finds. Only reads what the kernel keeps; a sleeping card is not woken.
 */
export function listPciDisplays(sysfs: Sysfs): readonly PciDisplay[] {
  const found: PciDisplay[] = []
  for (const address of sysfs.list('/sys/bus/pci/devices')) {
    const device = `/sys/bus/pci/devices/${address}`
    const vendorId = sysfs.read(`${device}/vendor`)?.trim() ?? ''
    const vendor = vendorOfPciId(vendorId)
    if (vendor === 'other' || !isGraphics(sysfs.read(`${device}/class`), vendor)) continue
    const id = pciDeviceIdOf(vendorId, sysfs.read(`${device}/device`))
    found.push({
      vendor,
      name: (id === null ? null : pciName(sysfs.read, id)) ?? `${vendor} card ${id ?? ''}`.trim(),
      pciBusId: normalPciBusId(address),
      driver: /^DRIVER=(\S+)$/m.exec(sysfs.read(`${device}/uevent`) ?? '')?.[1] ?? null,
    })
  }
  return found
}

/** Display controllers are class 03; AMD's newest accelerators are class 12, as Intel's NPUs are, which compute nothing here. */
const isGraphics = (pciClass: string | null, vendor: GpuInventory['vendor']): boolean =>
  pciClass?.startsWith('0x03') === true ||
  (vendor === 'amd' && pciClass?.startsWith('0x1200') === true)

/** Cards that Windows drives with its own picture-only driver because their maker's is missing. */
export function displaysWithoutDriver(report: WindowsReport): readonly PciDisplay[] {
  return report.controllers.filter(isRecord).flatMap(row => {
    const [, vendorId = '', device = ''] =
      /VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})/i.exec(String(row['PNPDeviceID'])) ?? []
    const vendor = vendorOfPciId(vendorId)
    if (!/basic display/i.test(String(row['Name'])) || vendor === 'other') return []
    const id = pciDeviceIdOf(vendorId, device) ?? ''
    return [{ vendor, name: `${vendor} card ${id}`.trim(), pciBusId: null, driver: null }]
  })
}

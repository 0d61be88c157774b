import type { GpuInventory } from '../protocol/gpu.ts'
import { isRecord, jsonIn, toldText } from './amd-facts.ts'
import type { MemoryModule } from './memory-bandwidth-dmi.ts'
import { busId, pciDeviceIdOf, vendorOfPciId } from './pci.ts'
import { mbOf, numberIn } from './sysfs.ts'
import { isDisplayOnly, kindOfModel, vendorOfText } from './systeminformation-graphics.ts'

type Row = Readonly<Record<string, unknown>>

/** The parts of one answer of Windows; a part that is missing or strange is empty. */
export type WindowsReport = {
  readonly controllers: readonly Row[]
  readonly classKeys: readonly Row[]
  readonly directX: readonly Row[]
  readonly modules: readonly Row[]
}

/** Reads the JSON of the PowerShell query. A list of one is a lone object in Windows' PowerShell 5. */
export function parseWindowsReport(text: string): WindowsReport {
  const json = jsonIn(text)
  const rows = (name: string): readonly Row[] => {
    const part = isRecord(json) ? json[name] : undefined
    return (Array.isArray(part) ? part : [part]).filter(isRecord)
  }
  return {
    controllers: rows('controllers'),
    classKeys: rows('classKeys'),
    directX: rows('directX'),
    modules: rows('modules'),
  }
}

/** The GPUs of a Windows machine; adapters that only show a picture (remote desktop, virtual) are left out. */
export function windowsInventory(report: WindowsReport): GpuInventory[] {
  return report.controllers.flatMap((controller, at) => {
    const name = toldText(controller['Name'])
    const pnp = toldText(controller['PNPDeviceID']) ?? ''
    const maker = toldText(controller['AdapterCompatibility']) ?? ''
    if (name === null || isDisplayOnly(`${maker} ${name}`)) return []
    const [, ven = null, dev = null] = /VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})/i.exec(pnp) ?? []
    const pciDeviceId = pciDeviceIdOf(ven, dev)
    const byId = ven === null ? 'other' : vendorOfPciId(ven)
    const vendor = byId === 'other' ? vendorOfText(`${maker} ${name}`) : byId
    const kind = kindOfModel(vendor, name)
    const directX = directXOf(report, pciDeviceId)
    const memory = kind === 'discrete' ? vramOf(report, controller, directX) : null
    const pciBusId = busIdOf(toldText(controller['Location']))
    return {
      id: pciBusId === null ? `pnp-${(pnp || `${at}`).slice(0, 120)}` : `pci-${pciBusId}`,
      vendor,
      kind,
      name,
      vramTotalMb: memory?.mb ?? null,
      driverVersion: toldText(controller['DriverVersion']),
      computeCapability: null,
      pciBusId,
      pciDeviceId,
      memoryUsableMb: memory?.mb ?? null,
      backends: backendsOf(vendor, directX),
      readBy: { vramTotalMb: memory?.by ?? 'none', driverVersion: 'wmi' },
      source: 'wmi',
    }
  })
}

/**
 * The highest Direct3D 12 feature level, for example `12_1` (DirectML wants 11_0 and more); null when the adapter has
 * no Direct3D 12 or DirectX has not seen it.
 */
export function direct3d12Level(directX: Row | null): string | null {
  const level = directX?.['MaxD3D12FeatureLevel']
  if (typeof level !== 'number' || !Number.isInteger(level) || level < 0xb000 || level > 0xffff)
    return null
  return `${level >> 12}_${(level >> 8) & 0xf}`
}

/** @returns what DirectX remembers of the adapter with this PCI device */
export function directXOf(report: WindowsReport, pciDeviceId: string | null): Row | null {
  if (pciDeviceId === null) return null
  const id = (value: unknown) =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff
      ? value.toString(16).padStart(4, '0')
      : null
  return (
    report.directX.find(
      row => pciDeviceIdOf(id(row['VendorId']), id(row['DeviceId'])) === pciDeviceId,
    ) ?? null
  )
}

/**
 * Vulkan comes with the vendor's driver, as Direct3D 12 does: an adapter of which DirectX says that it has no feature
 * level 11_0 of Direct3D 12 runs on a driver, or is a chip, too old for llama.cpp. Nothing said is no reason.
 */
function backendsOf(
  vendor: GpuInventory['vendor'],
  directX: Row | null,
): NonNullable<GpuInventory['backends']> {
  const level = directX?.['MaxD3D12FeatureLevel']
  if (typeof level === 'number' && direct3d12Level(directX) === null) return []
  return vendor === 'nvidia' ? ['cuda', 'vulkan'] : ['vulkan']
}

/** AdapterRAM is never taken: it has 32 bits, and what it shows for a larger card may be any smaller figure. */
function vramOf(
  report: WindowsReport,
  controller: Row,
  directX: Row | null,
): { readonly mb: number | null; readonly by: string } {
  const key = controller['ClassKey']
  const row = report.classKeys.find(found => typeof key === 'string' && found['ClassKey'] === key)
  const registry = mbOf(sizeOf(row?.['qwMemorySize']))
  if (registry !== null && registry > 0) return { mb: registry, by: 'registry qwMemorySize' }
  const dedicated = mbOf(sizeOf(directX?.['DedicatedVideoMemory']))
  return dedicated !== null && dedicated > 0
    ? { mb: dedicated, by: 'directx registry' }
    : { mb: null, by: 'none' }
}

/** A REG_QWORD is a number; some drivers write the same as REG_BINARY, which arrives as a list of bytes. */
function sizeOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : null
  if (typeof value === 'string') return numberIn(value)
  if (!Array.isArray(value) || value.length === 0 || value.length > 8) return null
  let size = 0
  for (const [at, byte] of value.entries()) {
    if (typeof byte !== 'number' || !Number.isInteger(byte) || byte < 0 || byte > 255) return null
    size += byte * 256 ** at
  }
  return Number.isSafeInteger(size) ? size : null
}

/** `@System32\drivers\pci.sys,#65536;PCI bus %1, device %2, function %3;(1,0,0)` */
function busIdOf(location: string | null): string | null {
  const [, bus = '', device = '', fn = ''] =
    /\((\d{1,5}),(\d{1,3}),(\d)\)\s*$/.exec(location ?? '') ?? []
  if (bus === '') return null
  // Windows writes the PCI segment into the bus number's upper bits.
  const number = Number(bus)
  return busId(number >> 8, number & 0xff, Number(device), Number(fn))
}

/** The memory modules that Windows lists, for the estimate of their bandwidth. */
export function windowsMemoryModules(report: WindowsReport): MemoryModule[] {
  const count = (value: unknown) =>
    typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 0xffff
      ? value
      : null
  return report.modules.map(row => ({
    bank: toldText(row['BankLabel']),
    slot: toldText(row['DeviceLocator']),
    dataWidthBits: count(row['DataWidth']),
    megaTransfers: count(row['ConfiguredClockSpeed']),
  }))
}

import { pciDeviceIdOf, plausible, throttleReasonsOf, unknownDevice } from './nvidia-device.ts'
import type { NvidiaDevice } from './nvidia-device.ts'
import { firstOf, textOf, uintOf } from './nvml-call.ts'
import {
  clockGraphics,
  clockMemory,
  memory,
  memoryV2,
  migEnable,
  pciInfo,
  structVersion,
  temperatureSensorGpu,
  temperatureV1,
  utilization,
  type NvmlSymbol,
} from './nvml-ffi.ts'
import type { NvmlLibrary } from './nvml-library.ts'
import { isGone, type NvmlStatus } from './nvml-status.ts'

/** What the driver says of itself; every device carries it. */
export type NvmlDriver = Pick<NvidiaDevice, 'driverVersion' | 'cudaVersion'>

/**
 * Reads every fact that one device tells; what it does not tell, or the driver has no function for, is null.
 * @returns the device, or why it does not answer
 */
export function readDevice(
  library: NvmlLibrary,
  index: number,
  driver: NvmlDriver,
): NvidiaDevice | NvmlStatus {
  const slot = new Uint8Array(8)
  const found = firstOf(
    library,
    ['nvmlDeviceGetHandleByIndex_v2', 'nvmlDeviceGetHandleByIndex'],
    [index, slot],
  )
  if (found !== 'SUCCESS') return found
  const handle = new DataView(slot.buffer).getBigUint64(0, true)
  const uuid = textOf((buffer, length) => library.call('nvmlDeviceGetUUID', handle, buffer, length))
  if (isGone(uuid.status)) return uuid.status
  const temperature = readTemperature(library, handle)
  // A card may fall off the bus between two calls; what it said before is of no use without the rest.
  if (typeof temperature === 'string' && isGone(temperature)) return temperature
  const pci = readPci(library, handle)
  return {
    ...unknownDevice(
      uuid.text ?? (pci.pciBusId === null ? `nvidia:${index}` : `pci:${pci.pciBusId}`),
    ),
    ...driver,
    ...pci,
    ...readMemory(library, handle),
    name: textOf((buffer, length) => library.call('nvmlDeviceGetName', handle, buffer, length))
      .text,
    computeCapability: readComputeCapability(library, handle),
    migEnabled: readMig(library, handle),
    utilizationPct: readUtilization(library, handle),
    temperatureC: plausible.temperatureC(numberOf(temperature)),
    powerW: plausible.powerW(watts(library, handle, ['nvmlDeviceGetPowerUsage'])),
    powerLimitW: plausible.powerLimitW(
      watts(library, handle, [
        'nvmlDeviceGetEnforcedPowerLimit',
        'nvmlDeviceGetPowerManagementLimit',
      ]),
    ),
    clockGraphicsMhz: readClock(library, handle, clockGraphics),
    clockMemoryMhz: readClock(library, handle, clockMemory),
    throttleReasons: readThrottleReasons(library, handle),
  }
}

function readPci(
  library: NvmlLibrary,
  handle: bigint,
): Pick<NvidiaDevice, 'pciBusId' | 'pciDeviceId'> {
  const buffer = new Uint8Array(pciInfo.bytes)
  const status = firstOf(
    library,
    ['nvmlDeviceGetPciInfo_v3', 'nvmlDeviceGetPciInfo_v2', 'nvmlDeviceGetPciInfo'],
    [handle, buffer],
  )
  if (status !== 'SUCCESS') return { pciBusId: null, pciDeviceId: null }
  const view = new DataView(buffer.buffer)
  const hex = (offset: number, digits: number) =>
    view.getUint32(offset, true).toString(16).toUpperCase().padStart(digits, '0')
  return {
    // As nvidia-smi writes it; a GPU is function 0 of its slot.
    pciBusId: `${hex(pciInfo.domain, 8)}:${hex(pciInfo.bus, 2)}:${hex(pciInfo.device, 2)}.0`,
    pciDeviceId: pciDeviceIdOf(view.getUint32(pciInfo.pciDeviceId, true)),
  }
}

type MemoryFacts = Pick<NvidiaDevice, 'vramTotalMb' | 'vramReservedMb' | 'vramUsedMb'>

function readMemory(library: NvmlLibrary, handle: bigint): MemoryFacts {
  const second = new Uint8Array(memoryV2.bytes)
  const secondView = new DataView(second.buffer)
  secondView.setUint32(memoryV2.version, structVersion(memoryV2.bytes, 2), true)
  if (library.call('nvmlDeviceGetMemoryInfo_v2', handle, second) === 'SUCCESS')
    return {
      vramTotalMb: plausible.memoryTotalMb(mebibytes(secondView, memoryV2.total)),
      vramReservedMb: plausible.memoryMb(mebibytes(secondView, memoryV2.reserved)),
      vramUsedMb: plausible.memoryMb(mebibytes(secondView, memoryV2.used)),
    }
  const first = new Uint8Array(memory.bytes)
  const firstView = new DataView(first.buffer)
  const told = library.call('nvmlDeviceGetMemoryInfo', handle, first) === 'SUCCESS'
  return {
    vramTotalMb: told ? plausible.memoryTotalMb(mebibytes(firstView, memory.total)) : null,
    vramReservedMb: null,
    vramUsedMb: told ? plausible.memoryMb(mebibytes(firstView, memory.used)) : null,
  }
}

/** Whole MiB, rounded down: never more than there is. */
const mebibytes = (view: DataView, offset: number): number =>
  Number(view.getBigUint64(offset, true) >> 20n)

function readComputeCapability(library: NvmlLibrary, handle: bigint): string | null {
  const major = new Uint8Array(4)
  const minor = new Uint8Array(4)
  if (library.call('nvmlDeviceGetCudaComputeCapability', handle, major, minor) !== 'SUCCESS')
    return null
  return `${new DataView(major.buffer).getInt32(0, true)}.${new DataView(minor.buffer).getInt32(0, true)}`
}

function readMig(library: NvmlLibrary, handle: bigint): boolean | null {
  const pending = new Uint8Array(4)
  const mode = uintOf(slot => library.call('nvmlDeviceGetMigMode', handle, slot, pending))
  if (typeof mode === 'number') return mode === migEnable
  // Most cards cannot be split, and say so in this way.
  return mode === 'NOT_SUPPORTED' ? false : null
}

function readUtilization(library: NvmlLibrary, handle: bigint): number | null {
  const buffer = new Uint8Array(utilization.bytes)
  const status = library.call('nvmlDeviceGetUtilizationRates', handle, buffer)
  if (status !== 'SUCCESS') return null
  return plausible.utilizationPct(new DataView(buffer.buffer).getUint32(utilization.gpu, true))
}

function readTemperature(library: NvmlLibrary, handle: bigint): number | NvmlStatus {
  const simple = uintOf(slot =>
    library.call('nvmlDeviceGetTemperature', handle, temperatureSensorGpu, slot),
  )
  if (simple !== 'MISSING_SYMBOL' && simple !== 'DEPRECATED') return simple
  const buffer = new Uint8Array(temperatureV1.bytes)
  const view = new DataView(buffer.buffer)
  view.setUint32(temperatureV1.version, structVersion(temperatureV1.bytes, 1), true)
  view.setInt32(temperatureV1.sensorType, temperatureSensorGpu, true)
  const status = library.call('nvmlDeviceGetTemperatureV', handle, buffer)
  return status === 'SUCCESS' ? view.getInt32(temperatureV1.temperature, true) : status
}

function watts(
  library: NvmlLibrary,
  handle: bigint,
  symbols: readonly NvmlSymbol[],
): number | null {
  const milliwatts = uintOf(slot => firstOf(library, symbols, [handle, slot]))
  return typeof milliwatts === 'number' ? milliwatts / 1_000 : null
}

const readClock = (library: NvmlLibrary, handle: bigint, clock: number): number | null =>
  plausible.clockMhz(
    numberOf(uintOf(slot => library.call('nvmlDeviceGetClockInfo', handle, clock, slot))),
  )

function readThrottleReasons(library: NvmlLibrary, handle: bigint): readonly string[] | null {
  const slot = new Uint8Array(8)
  const status = firstOf(
    library,
    ['nvmlDeviceGetCurrentClocksEventReasons', 'nvmlDeviceGetCurrentClocksThrottleReasons'],
    [handle, slot],
  )
  if (status !== 'SUCCESS') return null
  return throttleReasonsOf(new DataView(slot.buffer).getBigUint64(0, true))
}

const numberOf = (value: number | NvmlStatus): number | null =>
  typeof value === 'number' ? value : null

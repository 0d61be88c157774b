import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'

/**
 * Everything that one look at an NVIDIA device told, by whichever method. Null: not told, or told with a value that
 * means "not told".
 */
export type NvidiaDevice = {
  /** `GPU-…` where the method knows it, else a name made from the bus address: stable while the card stays put. */
  readonly id: string
  readonly name: string | null
  readonly pciBusId: string | null
  readonly pciDeviceId: string | null
  readonly driverVersion: string | null
  readonly cudaVersion: string | null
  readonly computeCapability: string | null
  readonly migEnabled: boolean | null
  readonly vramTotalMb: number | null
  /** What the driver keeps for itself and does not count as used. */
  readonly vramReservedMb: number | null
  readonly vramUsedMb: number | null
  readonly utilizationPct: number | null
  readonly temperatureC: number | null
  readonly powerW: number | null
  readonly powerLimitW: number | null
  readonly clockGraphicsMhz: number | null
  readonly clockMemoryMhz: number | null
  readonly throttleReasons: readonly string[] | null
}

/** How a device was read. */
export type NvidiaMethod = 'nvml' | 'nvidia-smi' | 'nvidia-smi -q -x' | 'nvidia-smi table'

/** The part that does not change. `readBy` names the facts that were really read. */
export function inventoryOf(device: NvidiaDevice, method: NvidiaMethod): GpuInventory {
  const facts = {
    vramTotalMb: device.vramTotalMb,
    driverVersion: cut(device.driverVersion),
    cudaVersion: cut(device.cudaVersion),
    computeCapability: cut(device.computeCapability),
    pciBusId: cut(device.pciBusId),
    pciDeviceId: cut(device.pciDeviceId),
    memoryUsableMb: memoryUsableMb(device),
    powerLimitW: device.powerLimitW,
    migEnabled: device.migEnabled,
  }
  const readBy: Record<string, string> = device.name === null ? {} : { name: method }
  for (const [fact, value] of Object.entries(facts)) if (value !== null) readBy[fact] = method
  const name = cut(device.name) ?? 'NVIDIA GPU'
  return {
    id: device.id.slice(0, 128),
    vendor: 'nvidia',
    kind: sharesTheMachinesMemory(name) ? 'unified' : 'discrete',
    name,
    ...facts,
    laptop: laptopByName(name),
    backends: ['cuda', 'vulkan'],
    readBy,
    source: method,
  }
}

/** The part that changes. */
export const readingOf = (device: NvidiaDevice): GpuReading => ({
  id: device.id.slice(0, 128),
  temperature_c: device.temperatureC,
  vram_used_mb: device.vramUsedMb,
  vram_total_mb: device.vramTotalMb,
  utilization_pct: device.utilizationPct,
  power_w: device.powerW,
  clock_graphics_mhz: device.clockGraphicsMhz,
  clock_memory_mhz: device.clockMemoryMhz,
  throttle_reasons: device.throttleReasons === null ? null : [...device.throttleReasons],
})

/** A device of which nothing is known but its id; the methods fill in what they can read. */
export const unknownDevice = (id: string): NvidiaDevice => ({
  id,
  name: null,
  pciBusId: null,
  pciDeviceId: null,
  driverVersion: null,
  cudaVersion: null,
  computeCapability: null,
  migEnabled: null,
  vramTotalMb: null,
  vramReservedMb: null,
  vramUsedMb: null,
  utilizationPct: null,
  temperatureC: null,
  powerW: null,
  powerLimitW: null,
  clockGraphicsMhz: null,
  clockMemoryMhz: null,
  throttleReasons: null,
})

/**
 * A figure as far as it can be true. 0 °C, 0 MHz, 0 MiB in total and a limit of 0 W are how virtual GPUs say "unknown";
 * all bits set (4,294,967,295 before units) is how NVML says it.
 */
export const plausible = {
  temperatureC: (value: number | null) => within(value, 1, 150),
  utilizationPct: (value: number | null) => within(value, 0, 100),
  powerW: (value: number | null) => within(value, 0, 5_000),
  powerLimitW: (value: number | null) => within(value, 1, 5_000),
  clockMhz: (value: number | null) => within(value, 1, 100_000),
  memoryTotalMb: (value: number | null) => within(value, 1, 16 * 1024 * 1024),
  memoryMb: (value: number | null) => within(value, 0, 16 * 1024 * 1024),
}

const within = (value: number | null, min: number, max: number): number | null =>
  value !== null && value >= min && value <= max ? value : null

/**
 * The bits of nvml.h's nvmlClocksEventReason… (nvmlClocksThrottleReason… before driver 535), by the names that
 * nvidia-smi gives them in its XML.
 */
const throttleBits: readonly (readonly [bit: bigint, name: string])[] = [
  [0x1n, 'gpu_idle'],
  [0x2n, 'applications_clocks_setting'],
  [0x4n, 'sw_power_cap'],
  [0x8n, 'hw_slowdown'],
  [0x10n, 'sync_boost'],
  [0x20n, 'sw_thermal_slowdown'],
  [0x40n, 'hw_thermal_slowdown'],
  [0x80n, 'hw_power_brake_slowdown'],
  [0x100n, 'display_clocks_setting'],
]

/** Names of the reasons in a mask; a bit that a newer driver adds is named by its place, not dropped. */
export function throttleReasonsOf(mask: bigint): readonly string[] {
  const names = throttleBits.filter(([bit]) => (mask & bit) !== 0n).map(([, name]) => name)
  const known = throttleBits.reduce((all, [bit]) => all | bit, 0n)
  const rest = mask & ~known
  if (rest !== 0n) names.push(`other_0x${rest.toString(16)}`)
  return names.slice(0, 16)
}

/** `10de:2684` from the id as NVIDIA writes it, device before vendor; null when the vendor is not NVIDIA. */
export function pciDeviceIdOf(deviceAndVendor: number): string | null {
  const vendor = deviceAndVendor & 0xffff
  if (vendor !== 0x10de) return null
  return `10de:${(deviceAndVendor >>> 16).toString(16).padStart(4, '0')}`
}

/**
 * A model may take everything but the driver's reserve. Where the driver does not tell its reserve (before 510) it counts
 * it as used. A card that is split gives a program one instance of it, whose size is not the card's.
 */
function memoryUsableMb(device: NvidiaDevice): number | null {
  if (device.migEnabled === true || device.vramTotalMb === null) return null
  return Math.max(0, device.vramTotalMb - (device.vramReservedMb ?? 0))
}

/** DGX Spark and Jetson: the GPU works in the machine's own memory, and the driver tells no VRAM for it. */
const sharesTheMachinesMemory = (name: string): boolean => /\b(GB10|Orin|Thor|Tegra)\b/i.test(name)

/**
 * Only names tell. Since the RTX 30 series and the RTX A series every laptop part says "Laptop GPU"; before, a laptop's
 * GTX 1060 had the desktop's name, so that those stay unknown.
 */
export function laptopByName(name: string): boolean | null {
  if (name.endsWith('...')) return null
  if (/\bLaptop\b|\bMax-Q\b|\bMobile\b|\bMX\d{3}\b|\b[KMPT]?\d{3,4}MX?\b/i.test(name)) {
    // The one desktop part with this name: RTX PRO 6000 Blackwell Max-Q Workstation Edition.
    return !/\bMax-Q Workstation\b/i.test(name)
  }
  const told =
    /\bRTX (?:3|4|5)0\d0\b|\bRTX A\d{3,4}\b|\bRTX PRO\b|\bAda Generation\b|\bTesla\b|\bGRID\b|\b[AHLB]\d{1,3}[A-Z]{0,2}\b|\bG[HB]\d{3}\b/
  return told.test(name) ? false : null
}

const cut = (text: string | null): string | null => (text === null ? null : text.slice(0, 256))

import { plausible, unknownDevice, type NvidiaDevice } from './nvidia-device.ts'
import {
  idByBus,
  told,
  toldBusId,
  toldMig,
  toldNumber,
  toldPciDeviceId,
  toldVersion,
} from './nvidia-smi-text.ts'

/**
 * Reads `nvidia-smi -q -x`, dtd versions 9 to 13. The document is machine-made and flat, so that cutting it by its tags
 * is enough; a part that is missing or cut off makes its facts unknown.
 */
export function parseNvidiaSmiXml(text: string): readonly NvidiaDevice[] {
  const log = inside(text, 'nvidia_smi_log') ?? ''
  const firstGpu = log.indexOf('<gpu ')
  if (firstGpu < 0) return []
  const head = log.slice(0, firstGpu)
  const driver = {
    driverVersion: toldVersion(inside(head, 'driver_version')),
    cudaVersion: toldVersion(inside(head, 'cuda_version')),
  }
  return log
    .slice(firstGpu)
    .split('</gpu>')
    .flatMap(part => {
      const device = deviceOf(part)
      return device === null ? [] : [{ ...device, ...driver }]
    })
}

/** Parts of a device that repeat the names of its own: instances, the module's and the memory's power. */
const nestedParts = ['mig_devices', 'module_power_readings', 'gpu_memory_power_readings'] as const

function deviceOf(part: string): NvidiaDevice | null {
  if (!part.includes('<gpu ')) return null
  const gpu = nestedParts.reduce(without, part)
  const pciBusId = toldBusId(inside(gpu, 'pci_bus_id') ?? /<gpu id="([^"]{1,32})"/.exec(gpu)?.[1])
  const uuid = inside(gpu, 'uuid')?.trim() ?? ''
  const id = uuid.startsWith('GPU-') ? uuid : pciBusId === null ? null : idByBus(pciBusId)
  if (id === null) return null
  const memory = inside(gpu, 'fb_memory_usage') ?? ''
  const clocks = inside(gpu, 'clocks') ?? ''
  return {
    ...unknownDevice(id),
    ...powerOf(gpu),
    name: unescaped(told(inside(gpu, 'product_name'))),
    pciBusId,
    pciDeviceId: toldPciDeviceId(inside(gpu, 'pci_device_id')),
    migEnabled: toldMig(inside(inside(gpu, 'mig_mode') ?? '', 'current_mig')),
    vramTotalMb: plausible.memoryTotalMb(toldNumber(inside(memory, 'total'))),
    vramReservedMb: plausible.memoryMb(toldNumber(inside(memory, 'reserved'))),
    vramUsedMb: plausible.memoryMb(toldNumber(inside(memory, 'used'))),
    utilizationPct: plausible.utilizationPct(
      toldNumber(inside(inside(gpu, 'utilization') ?? '', 'gpu_util')),
    ),
    temperatureC: plausible.temperatureC(toldNumber(inside(gpu, 'gpu_temp'))),
    clockGraphicsMhz: plausible.clockMhz(toldNumber(inside(clocks, 'graphics_clock'))),
    clockMemoryMhz: plausible.clockMhz(toldNumber(inside(clocks, 'mem_clock'))),
    throttleReasons: reasonsOf(gpu),
  }
}

/** Renamed in 535 (`gpu_power_readings`) and split into average and instant draw in 565. */
function powerOf(gpu: string): Pick<NvidiaDevice, 'powerW' | 'powerLimitW'> {
  const readings = inside(gpu, 'gpu_power_readings') ?? inside(gpu, 'power_readings') ?? ''
  const first = (...tags: readonly string[]): number | null => {
    for (const tag of tags) {
      const value = toldNumber(inside(readings, tag))
      if (value !== null) return value
    }
    return null
  }
  return {
    powerW: plausible.powerW(first('power_draw', 'average_power_draw', 'instant_power_draw')),
    powerLimitW: plausible.powerLimitW(
      first('enforced_power_limit', 'current_power_limit', 'power_limit'),
    ),
  }
}

/** Null unless the driver says of at least one reason whether it is active. */
function reasonsOf(gpu: string): readonly string[] | null {
  const part = inside(gpu, 'clocks_event_reasons') ?? inside(gpu, 'clocks_throttle_reasons') ?? ''
  const said = [
    ...part.matchAll(/<clocks_(?:event|throttle)_reason_(\w{1,48})>(Not Active|Active)</g),
  ]
  if (said.length === 0) return null
  return said
    .flatMap(([, name, state]) => (state === 'Active' && name !== undefined ? [name] : []))
    .slice(0, 16)
}

/** What stands between the first such tag and its end; null when there is none. */
function inside(text: string, tag: string): string | null {
  const from = text.indexOf(`<${tag}>`)
  if (from < 0) return null
  const start = from + tag.length + 2
  const end = text.indexOf(`</${tag}>`, start)
  return end < 0 ? null : text.slice(start, end)
}

function without(text: string, tag: string): string {
  const from = text.indexOf(`<${tag}>`)
  const end = text.indexOf(`</${tag}>`, from)
  return from < 0 || end < 0 ? text : text.slice(0, from) + text.slice(end + tag.length + 3)
}

function unescaped(text: string | null): string | null {
  if (text === null) return null
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')
}

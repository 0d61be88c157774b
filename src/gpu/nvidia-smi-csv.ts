import { plausible, throttleReasonsOf, unknownDevice, type NvidiaDevice } from './nvidia-device.ts'
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
 * The fields asked of `nvidia-smi --query-gpu`, and where a name is younger than others, the driver that brought it.
 * A driver refuses the whole query when it does not know one name, and says which.
 */
export const nvidiaSmiFields: readonly string[] = [
  'uuid',
  'pci.bus_id',
  'pci.device_id',
  'driver_version',
  'memory.total',
  'memory.used',
  'utilization.gpu',
  'temperature.gpu',
  'power.draw',
  'enforced.power.limit',
  'clocks.current.graphics',
  'clocks.current.memory',
  /** 450 */
  'mig.mode.current',
  /** 510 */
  'compute_cap',
  'memory.reserved',
  /** 535 */
  'clocks_event_reasons.active',
  'name',
]

/** What a field was called before. */
const olderNames: ReadonlyMap<string, string> = new Map([
  ['clocks_event_reasons.active', 'clocks_throttle_reasons.active'],
])

/** The fields to ask next when a driver refused a query; null when the text is no such refusal. */
export function fieldsWithout(text: string, fields: readonly string[]): readonly string[] | null {
  const refused = /Field "([^"]{1,64})" is not a valid field to query/.exec(text)?.[1]
  if (refused === undefined || !fields.includes(refused)) return null
  return fields.flatMap(field => (field === refused ? (olderNames.get(field) ?? []) : field))
}

/** Reads a query's CSV with its heading line, with or without units. Lines that describe no device are left out. */
export function parseNvidiaSmiCsv(text: string): readonly NvidiaDevice[] {
  const lines = text.split(/\r?\n/)
  const headingAt = lines.findIndex(line => namesOf(line).includes('uuid'))
  if (headingAt < 0) return []
  const names = namesOf(lines[headingAt] ?? '')
  return lines.slice(headingAt + 1).flatMap(line => {
    const row = rowOf(line, names)
    const device = row === null ? null : deviceOf(row)
    return device === null ? [] : [device]
  })
}

/** `memory.total [MiB]` → `memory.total` */
const namesOf = (heading: string): readonly string[] =>
  heading.split(',').map(cell => cell.trim().split(' ')[0] ?? '')

/** A comma too many belongs to the name, the only field with free text; fewer cells are another line. */
function rowOf(line: string, names: readonly string[]): ReadonlyMap<string, string> | null {
  const cells = line.split(',').map(cell => cell.trim())
  const surplus = cells.length - names.length
  const nameAt = names.indexOf('name')
  if (surplus < 0 || (surplus > 0 && nameAt < 0)) return null
  if (surplus > 0)
    cells.splice(nameAt, surplus + 1, cells.slice(nameAt, nameAt + surplus + 1).join(', '))
  return new Map(names.map((name, at) => [name, cells[at] ?? '']))
}

function deviceOf(row: ReadonlyMap<string, string>): NvidiaDevice | null {
  const pciBusId = toldBusId(row.get('pci.bus_id'))
  const uuid = row.get('uuid') ?? ''
  const id = uuid.startsWith('GPU-') ? uuid : pciBusId === null ? null : idByBus(pciBusId)
  if (id === null) return null
  const number = (field: string) => toldNumber(row.get(field))
  return {
    ...unknownDevice(id),
    name: told(row.get('name')),
    pciBusId,
    pciDeviceId: toldPciDeviceId(row.get('pci.device_id')),
    driverVersion: toldVersion(row.get('driver_version')),
    computeCapability: toldVersion(row.get('compute_cap')),
    migEnabled: toldMig(row.get('mig.mode.current')),
    vramTotalMb: plausible.memoryTotalMb(number('memory.total')),
    vramReservedMb: plausible.memoryMb(number('memory.reserved')),
    vramUsedMb: plausible.memoryMb(number('memory.used')),
    utilizationPct: plausible.utilizationPct(number('utilization.gpu')),
    temperatureC: plausible.temperatureC(number('temperature.gpu')),
    powerW: plausible.powerW(number('power.draw')),
    powerLimitW: plausible.powerLimitW(number('enforced.power.limit')),
    clockGraphicsMhz: plausible.clockMhz(number('clocks.current.graphics')),
    clockMemoryMhz: plausible.clockMhz(number('clocks.current.memory')),
    throttleReasons: maskedReasons(
      row.get('clocks_event_reasons.active') ?? row.get('clocks_throttle_reasons.active'),
    ),
  }
}

/** `0x0000000000000001` */
function maskedReasons(cell: string | undefined): readonly string[] | null {
  const mask = told(cell)
  return mask !== null && /^0x[0-9a-f]{1,16}$/i.test(mask) ? throttleReasonsOf(BigInt(mask)) : null
}

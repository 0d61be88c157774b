import { isRecord, jsonIn, noAmdFacts, toldText, type AmdFacts } from './amd-facts.ts'
import { normalPciBusId } from './pci.ts'
import { numberIn } from './sysfs.ts'

export const amdSmiStaticArguments = ['static', '--json'] as const
export const amdSmiMetricArguments = ['metric', '--json'] as const

/**
 * Reads what `amd-smi static` or `amd-smi metric` printed, as JSON (a list, or since ROCm 7 an object with
 * `gpu_data`) or as text, into which older versions fall back. One entry per GPU, in the tool's order.
 */
export function parseAmdSmi(text: string): AmdFacts[] {
  const json = /^\s*(GPU: |[A-Z_]+:)/.test(text) ? null : jsonIn(text)
  const list = isRecord(json) ? json['gpu_data'] : json
  const devices: readonly unknown[] = Array.isArray(list) ? list : devicesOfText(text)
  return devices.filter(isRecord).map(factsOf)
}

/** Joins static and metric answers: both list the same GPUs in the same order, and metric does not name the bus. */
export function joinAmdSmi(fixed: readonly AmdFacts[], live: readonly AmdFacts[]): AmdFacts[] {
  return fixed.map((facts, at) => {
    const now = live[at] ?? noAmdFacts
    return {
      ...now,
      pciBusId: facts.pciBusId,
      name: facts.name,
      gfxTarget: facts.gfxTarget,
      vramTotalMb: facts.vramTotalMb ?? now.vramTotalMb,
      powerLimitW: facts.powerLimitW ?? now.powerLimitW,
    }
  })
}

function factsOf(device: Readonly<Record<string, unknown>>): AmdFacts {
  const at = (...path: readonly string[]) => {
    let value: unknown = device
    for (const key of path) value = isRecord(value) ? value[key] : undefined
    return value
  }
  const throttle = toldText(at('power', 'throttle_status'))
  return {
    pciBusId: normalPciBusId(toldText(at('bus', 'bdf'))),
    name: toldText(at('asic', 'market_name')),
    gfxTarget:
      /^gfx[0-9a-f]{3,4}$/i
        .exec(toldText(at('asic', 'target_graphics_version')) ?? '')?.[0]
        .toLowerCase() ?? null,
    vramTotalMb:
      quantity(at('vram', 'size'), 'MB') ?? quantity(at('mem_usage', 'total_vram'), 'MB'),
    vramUsedMb: quantity(at('mem_usage', 'used_vram'), 'MB'),
    temperatureC:
      quantity(at('temperature', 'edge'), 'C') ?? quantity(at('temperature', 'hotspot'), 'C'),
    powerW: quantity(at('power', 'socket_power'), 'W'),
    powerLimitW: quantity(at('limit', 'max_power'), 'W'),
    utilizationPct: quantity(at('usage', 'gfx_activity'), '%'),
    clockGraphicsMhz: quantity(at('clock', 'gfx_0', 'clk'), 'MHz'),
    clockMemoryMhz: quantity(at('clock', 'mem_0', 'clk'), 'MHz'),
    throttleReasons:
      throttle === null ? null : throttle === 'UNTHROTTLED' ? [] : [throttle.toLowerCase()],
  }
}

/** `{ value: 42, unit: '%' }` or `42 %`; null when the unit is another one than expected. */
function quantity(value: unknown, unit: string): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (isRecord(value)) {
    const told = value['unit']
    if (typeof told === 'string' && told.replace('°', '') !== unit) return null
    return quantity(value['value'], unit)
  }
  const text = toldText(value)
  if (text === null) return null
  const [, number = null, told = ''] = /^(-?\d+(?:\.\d+)?)\s*(.*)$/.exec(text) ?? []
  return told === '' || told.replace('°', '') === unit ? numberIn(number) : null
}

/** The text form: `KEY: value` lines, nested by four spaces, each GPU opened by `GPU: 0`. Keys are lower-cased. */
function devicesOfText(text: string): Record<string, unknown>[] {
  const devices: Record<string, unknown>[] = []
  let open: { readonly indent: number; readonly node: Record<string, unknown> }[] = []
  for (const line of text.split(/\r?\n/)) {
    const [, space = '', key = '', value = ''] = /^( *)([A-Za-z0-9_]+):\s*(.*)$/.exec(line) ?? []
    if (key === '') continue
    if (key === 'GPU') {
      const node: Record<string, unknown> = Object.create(null)
      devices.push(node)
      open = [{ indent: space.length, node }]
      continue
    }
    open = open.filter(level => level.indent < space.length)
    const parent = open.at(-1)?.node
    if (parent === undefined) continue
    if (value !== '') {
      parent[key.toLowerCase()] = value
      continue
    }
    const node: Record<string, unknown> = Object.create(null)
    parent[key.toLowerCase()] = node
    open.push({ indent: space.length, node })
  }
  return devices
}

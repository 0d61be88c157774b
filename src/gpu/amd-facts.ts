/** What one of AMD's tools or libraries says of a device; null where it says nothing. */
export type AmdFacts = {
  readonly pciBusId: string | null
  readonly name: string | null
  readonly gfxTarget: string | null
  readonly vramTotalMb: number | null
  readonly vramUsedMb: number | null
  readonly temperatureC: number | null
  readonly powerW: number | null
  readonly powerLimitW: number | null
  readonly utilizationPct: number | null
  readonly clockGraphicsMhz: number | null
  readonly clockMemoryMhz: number | null
  readonly throttleReasons: readonly string[] | null
}

export const noAmdFacts: AmdFacts = {
  pciBusId: null,
  name: null,
  gfxTarget: null,
  vramTotalMb: null,
  vramUsedMb: null,
  temperatureC: null,
  powerW: null,
  powerLimitW: null,
  utilizationPct: null,
  clockGraphicsMhz: null,
  clockMemoryMhz: null,
  throttleReasons: null,
}

/** Reads JSON that a tool printed, also when it wrote warnings before or after; null when there is none. */
export function jsonIn(text: string): unknown {
  const starts = [text.indexOf('{'), text.indexOf('[')].filter(at => at >= 0)
  if (starts.length === 0) return null
  const end = Math.max(text.lastIndexOf('}'), text.lastIndexOf(']'))
  for (const start of starts.sort((a, b) => a - b)) {
    try {
      return JSON.parse(text.slice(start, end + 1))
    } catch {
      continue
    }
  }
  return null
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A text of a tool as a value: its words for "not known" are null. */
export function toldText(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const plain = value.trim()
  return /^(n\/a|unknown|none|not supported|)$/i.test(plain) ? null : plain.slice(0, 256)
}

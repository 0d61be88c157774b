import { isRecord, jsonIn, noAmdFacts, toldText, type AmdFacts } from './amd-facts.ts'
import { normalPciBusId } from './pci.ts'
import { mbOf, numberIn } from './sysfs.ts'

/** What is asked of rocm-smi; the same in every version since ROCm 3. */
export const rocmSmiArguments = ['--showallinfo', '--showmeminfo', 'vram', '--json'] as const

/**
 * Reads the JSON of rocm-smi. Its keys were renamed between versions (`Card series` and `Card Series`, `Average
 * Graphics Package Power (W)` and `Current Socket Graphics Package Power (W)`: ROCm/rocm_smi_lib#149), so they are
 * compared without case and by the words that stayed.
 */
export function parseRocmSmi(text: string): AmdFacts[] {
  const json = jsonIn(text)
  if (!isRecord(json)) return []
  return Object.entries(json).flatMap(([key, card]) =>
    /^card\d{1,4}$/.test(key) && isRecord(card) ? [factsOf(card)] : [],
  )
}

function factsOf(card: Readonly<Record<string, unknown>>): AmdFacts {
  const entries = Object.entries(card)
  const text = (pattern: RegExp) =>
    entries
      .filter(([key]) => pattern.test(key))
      .map(([, value]) => toldText(value))
      .find(value => value !== null) ?? null
  const number = (pattern: RegExp) => numberIn(text(pattern))
  return {
    ...noAmdFacts,
    pciBusId: normalPciBusId(text(/^pci bus$/i)),
    name: text(/^card series$/i) ?? text(/^device name$/i),
    gfxTarget: /^gfx[0-9a-f]{3,4}$/i.exec(text(/^gfx version$/i) ?? '')?.[0].toLowerCase() ?? null,
    vramTotalMb: mbOf(number(/^vram total memory \(b\)$/i)),
    vramUsedMb: mbOf(number(/^vram total used memory \(b\)$/i)),
    temperatureC:
      number(/^temperature \(sensor edge\) \(c\)$/i) ??
      number(/^temperature \(sensor junction\) \(c\)$/i),
    powerW: number(/^(average|current socket) graphics package power \(w\)$/i),
    powerLimitW: number(/^max graphics package power \(w\)$/i),
    utilizationPct: number(/^gpu use \(%\)$/i),
    clockGraphicsMhz: clockMhz(text(/^sclk clock speed:?$/i)),
    clockMemoryMhz: clockMhz(text(/^mclk clock speed:?$/i)),
  }
}

/** `(1725Mhz)` */
const clockMhz = (text: string | null): number | null =>
  numberIn(/^\(?(\d+(?:\.\d+)?)\s*mhz\)?$/i.exec(text ?? '')?.[1] ?? null)

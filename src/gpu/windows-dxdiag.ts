import { pciDeviceIdOf } from './pci.ts'
import { numberIn } from './sysfs.ts'

/** What dxdiag tells of a display adapter; null where it does not. */
export type DxdiagAdapter = {
  readonly name: string | null
  readonly pciDeviceId: string | null
  readonly dedicatedMb: number | null
  readonly sharedMb: number | null
  readonly driverVersion: string | null
  /** The highest, for example `12_1`. */
  readonly featureLevel: string | null
  /** Direct3D 12 drivers have DDI 12. */
  readonly ddiVersion: number | null
  readonly wddm: number | null
}

/**
 * Reads a report of dxdiag: the XML of `/x` or the text of `/t`, whose labels (`Card name`) are the XML's tags
 * (`CardName`) with spaces. Text reports are translated on other Windows languages; XML is not.
 */
export function parseDxdiag(report: string): DxdiagAdapter[] {
  const adapters: Map<string, string>[] = []
  for (const [name, value] of fieldsOf(report)) {
    if (name === 'cardname') adapters.push(new Map())
    const open = adapters.at(-1)
    if (open !== undefined && !open.has(name)) open.set(name, value)
  }
  return adapters.map(fields => {
    const key = fields.get('devicekey') ?? ''
    const [, ven = null, dev = null] =
      /VEN_([0-9A-F]{4})&(?:amp;)?DEV_([0-9A-F]{4})/i.exec(key) ?? []
    return {
      name: told(fields.get('cardname')),
      pciDeviceId: pciDeviceIdOf(ven, dev),
      dedicatedMb: megabytes(fields.get('dedicatedmemory')),
      sharedMb: megabytes(fields.get('sharedmemory')),
      driverVersion: told(fields.get('driverversion')),
      featureLevel: /^\d{1,2}_\d/.exec(fields.get('featurelevels') ?? '')?.[0] ?? null,
      ddiVersion: numberIn(fields.get('ddiversion') ?? null),
      wddm: numberIn(/^WDDM (\d{1,2}\.\d{1,2})/.exec(fields.get('drivermodel') ?? '')?.[1] ?? null),
    }
  })
}

function fieldsOf(report: string): [string, string][] {
  const fields: [string, string][] = []
  const xml = /<DxDiag>/i.test(report)
  for (const line of report.split(/\r?\n/)) {
    const [, name = '', value = ''] =
      (xml
        ? /^\s*<([A-Za-z0-9]+)>([^<]*)<\/\1>\s*$/
        : /^\s*([A-Z][A-Za-z0-9 '/-]{1,40}): (.*)$/
      ).exec(line) ?? []
    if (name !== '') fields.push([name.replaceAll(' ', '').toLowerCase(), value.trim()])
  }
  return fields
}

function told(value: string | undefined): string | null {
  const text = value?.trim() ?? ''
  return text === '' || /^(unknown|n\/a)$/i.test(text) ? null : text.slice(0, 256)
}

const megabytes = (text: string | undefined): number | null =>
  numberIn(/^(\d{1,8}) MB$/.exec(text ?? '')?.[1] ?? null)

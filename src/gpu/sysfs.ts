import { readdirSync, readFileSync } from 'node:fs'
import { normalPciBusId, pciDeviceIdOf } from './pci.ts'

/** The files in which the Linux kernel describes devices. Paths are absolute, as `/sys/class/drm`. */
export type Sysfs = {
  /** The text of a file; null when it is not there or may not be read (a driver that refuses, a device gone). */
  readonly read: (path: string) => string | null
  /** The names in a folder, sorted; empty when it is not there. */
  readonly list: (path: string) => readonly string[]
}

/** @param root a folder before every path; empty for the running kernel's own tree */
export const sysfsAt = (root = ''): Sysfs => ({
  read(path) {
    try {
      return readFileSync(root + path, 'utf8')
    } catch {
      return null
    }
  },
  list(path) {
    try {
      return readdirSync(root + path).sort()
    } catch {
      return []
    }
  },
})

/** @returns the number that a text begins with and is; null for everything else, `N/A` and an empty file included */
export function numberIn(text: string | null | undefined): number | null {
  const plain = text?.trim() ?? ''
  if (!/^-?\d+(\.\d+)?$/.test(plain)) return null
  const value = Number(plain)
  return Number.isFinite(value) ? value : null
}

/** @returns a count of bytes as whole MB (MiB); null for null and for what is no size */
export const mbOf = (bytes: number | null): number | null =>
  bytes === null || bytes < 0 || !Number.isFinite(bytes) ? null : Math.round(bytes / 1024 ** 2)

/** A graphics device as the kernel lists it. */
export type DrmCard = {
  /** `/sys/class/drm/card1` */
  readonly path: string
  /** `/sys/class/drm/card1/device` */
  readonly device: string
  /** `/dev/dri/renderD128`; null when the driver offers none. */
  readonly renderNode: string | null
  readonly driver: string | null
  readonly pciBusId: string | null
  readonly pciDeviceId: string | null
  /**
   * Powered down by the kernel, as the second GPU of a laptop is while nothing uses it. Reading its sensors would
   * power it up and cost its owner battery (measured by others for NVIDIA and amdgpu: Umio-Yasuno/amdgpu_top#90).
   */
  readonly suspended: boolean
}

/** Lists the PCI graphics devices. Reads nothing that would wake one. */
export function listDrmCards(sysfs: Sysfs): readonly DrmCard[] {
  const cards: DrmCard[] = []
  for (const name of sysfs.list('/sys/class/drm')) {
    if (!/^card\d{1,4}$/.test(name)) continue
    const path = `/sys/class/drm/${name}`
    const device = `${path}/device`
    const uevent = parseUevent(sysfs.read(`${device}/uevent`) ?? '')
    const [ueventVendor = null, ueventDevice = null] = uevent.get('PCI_ID')?.split(':') ?? []
    const pciDeviceId = pciDeviceIdOf(
      sysfs.read(`${device}/vendor`) ?? ueventVendor,
      sysfs.read(`${device}/device`) ?? ueventDevice,
    )
    const node = sysfs.list(`${device}/drm`).find(entry => /^renderD\d{1,4}$/.test(entry))
    cards.push({
      path,
      device,
      renderNode: node === undefined ? null : `/dev/dri/${node}`,
      driver: uevent.get('DRIVER') ?? null,
      pciBusId: normalPciBusId(uevent.get('PCI_SLOT_NAME') ?? null),
      pciDeviceId,
      suspended: sysfs.read(`${device}/power/runtime_status`)?.startsWith('suspend') === true,
    })
  }
  return cards
}

/** The id of a device for the pool: its place on the bus, which survives a restart and a driver's renumbering. */
export const cardId = (card: DrmCard): string =>
  card.pciBusId === null ? `drm-${card.path.split('/').at(-1) ?? ''}` : `pci-${card.pciBusId}`

/** The folder of the driver's sensors; null when it has none. */
export function hwmonOf(sysfs: Sysfs, card: DrmCard): string | null {
  const dir = `${card.device}/hwmon`
  const name = sysfs.list(dir).find(entry => /^hwmon\d{1,4}$/.test(entry))
  return name === undefined ? null : `${dir}/${name}`
}

/** @returns degrees of the sensor with the first of the labels that is there, else of the first sensor */
export function temperatureOf(
  sysfs: Sysfs,
  hwmon: string,
  labels: readonly string[],
): number | null {
  const inputs = sysfs.list(hwmon).filter(entry => /^temp\d{1,3}_input$/.test(entry))
  const labelled = new Map(
    inputs.map(input => [
      sysfs.read(`${hwmon}/${input.replace('_input', '_label')}`)?.trim() ?? '',
      input,
    ]),
  )
  const wanted = labels.map(label => labelled.get(label)).find(input => input !== undefined)
  const input = wanted ?? inputs[0]
  const millidegrees = input === undefined ? null : numberIn(sysfs.read(`${hwmon}/${input}`))
  return millidegrees === null ? null : millidegrees / 1000
}

/** `KEY=value` lines of a device's `uevent`. */
function parseUevent(text: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    if (at > 0) pairs.set(line.slice(0, at), line.slice(at + 1).trim())
  }
  return pairs
}

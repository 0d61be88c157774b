import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import type { LocalMemory, ReadLocalMemory } from './intel-drm.ts'
import { pciName } from './pci.ts'
import { unknownReading } from './probe.ts'
import {
  cardId,
  hwmonOf,
  listDrmCards,
  mbOf,
  numberIn,
  temperatureOf,
  type DrmCard,
  type Sysfs,
} from './sysfs.ts'

/** The GPUs that Intel's drivers (i915, xe) run. */
export function intelInventory(sysfs: Sysfs, localMemory: ReadLocalMemory): GpuInventory[] {
  return intelCards(sysfs).map(card => {
    const kind = kindOf(card)
    const memory = kind === 'discrete' ? memoryOf(sysfs, card, localMemory) : null
    const vramTotalMb = mbOf(memory?.totalBytes ?? null)
    const kernel = sysfs.read('/proc/sys/kernel/osrelease')?.trim() ?? ''
    const named = card.pciDeviceId === null ? null : pciName(sysfs.read, card.pciDeviceId)
    return {
      id: cardId(card),
      vendor: 'intel',
      kind,
      name: (named ?? `Intel GPU ${card.pciDeviceId ?? ''}`.trim()).slice(0, 256),
      vramTotalMb,
      driverVersion: kernel === '' ? null : `kernel ${kernel}`.slice(0, 256),
      computeCapability: null,
      pciBusId: card.pciBusId,
      pciDeviceId: card.pciDeviceId,
      memoryUsableMb: vramTotalMb,
      powerLimitW: card.suspended ? null : powerLimitOf(sysfs, card),
      backends: card.driver === null ? [] : ['vulkan'],
      readBy: { vramTotalMb: `${card.driver ?? 'no'} driver`, name: 'pci.ids' },
      source: (card.driver ?? 'pci').slice(0, 64),
    }
  })
}

/** A reading and the energy counter it was taken with; the power is the difference of two. */
export type IntelSample = {
  readonly reading: GpuReading
  /** Millionths of a joule since the driver started; null when it does not count. */
  readonly energyUj: number | null
}

/** What the GPUs do now; of a sleeping one nothing is read. */
export function intelSamples(sysfs: Sysfs, localMemory: ReadLocalMemory): IntelSample[] {
  return intelCards(sysfs).map(card => {
    const id = cardId(card)
    if (card.suspended) return { reading: unknownReading(id), energyUj: null }
    const hwmon = hwmonOf(sysfs, card)
    const memory = kindOf(card) === 'discrete' ? memoryOf(sysfs, card, localMemory) : null
    return {
      reading: {
        ...unknownReading(id),
        temperature_c: hwmon === null ? null : temperatureOf(sysfs, hwmon, ['pkg']),
        vram_used_mb: mbOf(memory?.usedBytes ?? null),
        vram_total_mb: mbOf(memory?.totalBytes ?? null),
        clock_graphics_mhz: clockOf(sysfs, card),
        throttle_reasons: throttleReasonsOf(sysfs, card),
      },
      energyUj: hwmon === null ? null : energyOf(sysfs, hwmon),
    }
  })
}

/**
 * @param elapsedMs time between the two counters
 * @returns watts; null when a counter is missing, was reset, or the time is too short to mean anything
 */
export function powerBetween(
  before: number | null,
  after: number | null,
  elapsedMs: number,
): number | null {
  if (before === null || after === null || after < before || elapsedMs < 100) return null
  return Math.round((after - before) / elapsedMs) / 1000
}

const intelCards = (sysfs: Sysfs): readonly DrmCard[] =>
  listDrmCards(sysfs).filter(
    card =>
      card.driver === 'i915' ||
      card.driver === 'xe' ||
      card.pciDeviceId?.startsWith('8086:') === true,
  )

/** The GPU on the processor's die is always function 0 of device 2 on bus 0; a card is behind a bridge. */
const kindOf = (card: DrmCard): GpuInventory['kind'] =>
  card.pciBusId === null || card.pciBusId === '0000:00:02.0' ? 'integrated' : 'discrete'

/** Intel's own driver packages have the size in a file; the kernel's drivers are asked. */
function memoryOf(sysfs: Sysfs, card: DrmCard, ask: ReadLocalMemory): LocalMemory | null {
  const listed = numberIn(sysfs.read(`${card.path}/lmem_total_bytes`))
  if (listed !== null && listed > 0) {
    const free = numberIn(sysfs.read(`${card.path}/lmem_avail_bytes`))
    return { totalBytes: listed, usedBytes: free === null || free > listed ? null : listed - free }
  }
  const { driver, renderNode, suspended } = card
  if (suspended || renderNode === null || (driver !== 'i915' && driver !== 'xe')) return null
  return ask(renderNode, driver)
}

/** `act_freq` is 0 while the GPU rests, and 0 MHz is then the truth. */
function clockOf(sysfs: Sysfs, card: DrmCard): number | null {
  const files = [
    `${card.device}/tile0/gt0/freq0/act_freq`,
    `${card.path}/gt/gt0/rps_act_freq_mhz`,
    `${card.path}/gt_act_freq_mhz`,
  ]
  return files.map(file => numberIn(sysfs.read(file))).find(mhz => mhz !== null) ?? null
}

/** The drivers' own words: `reason_thermal` is `thermal`. Null when the driver has no such files. */
function throttleReasonsOf(sysfs: Sysfs, card: DrmCard): string[] | null {
  for (const [dir, prefix] of [
    [`${card.device}/tile0/gt0/freq0/throttle`, 'reason_'],
    [`${card.path}/gt/gt0`, 'throttle_reason_'],
  ] as const) {
    const names = sysfs
      .list(dir)
      .filter(name => name.startsWith(prefix) && name !== 'throttle_reason_status')
    if (names.length > 0)
      return names
        .filter(name => numberIn(sysfs.read(`${dir}/${name}`)) === 1)
        .map(name => name.slice(prefix.length, prefix.length + 64))
        .slice(0, 16)
  }
  return null
}

/** The counter of the whole card where there is one, else the package's (nvtop tells them apart the same way). */
function energyOf(sysfs: Sysfs, hwmon: string): number | null {
  const card = numberIn(sysfs.read(`${hwmon}/energy1_input`))
  return card !== null && card > 0 ? card : numberIn(sysfs.read(`${hwmon}/energy2_input`))
}

function powerLimitOf(sysfs: Sysfs, card: DrmCard): number | null {
  const hwmon = hwmonOf(sysfs, card)
  if (hwmon === null) return null
  for (const file of ['power1_max', 'power1_cap', 'power2_max', 'power2_cap']) {
    const microwatts = numberIn(sysfs.read(`${hwmon}/${file}`))
    if (microwatts !== null && microwatts > 0) return Math.round(microwatts / 1000) / 1000
  }
  return null
}

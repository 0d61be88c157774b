import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import { backendsOf, gfxTarget } from './amd-gfx-targets.ts'
import { readKfdNodes, type KfdNode } from './amd-kfd.ts'
import { pciName } from './pci.ts'
import { unknownReading } from './probe.ts'
import { systemMemoryMb } from './sysfs-memory.ts'
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

/**
 * APUs by PCI device, for kernels without KFD: their carve-out of main memory is shown as VRAM and must not be counted
 * as such. From the PCI id database (pci-ids.ucw.cz).
 */
const apuDevices = new Set(
  (
    '9870 9874 9875 9876 9877 98e4 15dd 15d8 15d9 1636 1638 164c 15e7 15e8 1681 15bf 15c8 1900 1901 150e 1586 1114 ' +
    '164e 13c0 163f 1506 13fe 143f 1435'
  ).split(' '),
)

/** The GPUs that the amdgpu driver runs. Sleeping ones are described without being woken. */
export function amdInventory(sysfs: Sysfs): GpuInventory[] {
  const nodes = readKfdNodes(sysfs)
  return amdCards(sysfs).map(card => {
    const node = nodes.find(found => found.pciBusId !== null && found.pciBusId === card.pciBusId)
    const target = gfxTarget(node?.gfxTarget ?? null)
    const kind = kindOf(sysfs, card, node)
    const vramBytes = numberIn(sysfs.read(`${card.device}/mem_info_vram_total`))
    const vramTotalMb = kind === 'discrete' ? mbOf(vramBytes ?? node?.memoryBytes ?? null) : null
    const kfd = sysfs.list('/dev').includes('kfd')
    return {
      id: cardId(card),
      vendor: 'amd',
      kind,
      name: nameOf(sysfs, card),
      vramTotalMb,
      driverVersion: driverVersionOf(sysfs),
      computeCapability: null,
      pciBusId: card.pciBusId,
      pciDeviceId: card.pciDeviceId,
      gfxTarget: node?.gfxTarget ?? null,
      memoryUsableMb: kind === 'discrete' ? vramTotalMb : apuMemoryMb(sysfs, card, vramBytes),
      powerLimitW: card.suspended ? null : powerLimitOf(sysfs, card),
      // Cards on the older radeon driver have no Vulkan: Mesa's RADV works on amdgpu alone.
      backends:
        card.driver === 'amdgpu' ? backendsOf(target, 'linux', kfd && node !== undefined) : [],
      readBy: {
        vramTotalMb: vramBytes === null ? 'kfd' : 'amdgpu sysfs',
        gfxTarget: 'kfd',
        memoryUsableMb: 'amdgpu sysfs',
      },
      source: 'amdgpu',
    }
  })
}

/** What the GPUs do now. Of a sleeping one nothing is read but its size, which the driver knows without waking it. */
export function amdReadings(sysfs: Sysfs): GpuReading[] {
  const nodes = readKfdNodes(sysfs)
  return amdCards(sysfs).map(card => {
    const node = nodes.find(found => found.pciBusId !== null && found.pciBusId === card.pciBusId)
    const discrete = kindOf(sysfs, card, node) === 'discrete'
    const file = (name: string) => numberIn(sysfs.read(`${card.device}/${name}`))
    const known = {
      ...unknownReading(cardId(card)),
      vram_total_mb: discrete ? mbOf(file('mem_info_vram_total')) : null,
    }
    if (card.suspended) return known
    const hwmon = hwmonOf(sysfs, card)
    const sensor = (name: string) =>
      hwmon === null ? null : numberIn(sysfs.read(`${hwmon}/${name}`))
    const [vramUsed, gttUsed] = [file('mem_info_vram_used'), file('mem_info_gtt_used')]
    const sharedUsed = vramUsed === null || gttUsed === null ? null : vramUsed + gttUsed
    return {
      ...known,
      temperature_c: hwmon === null ? null : temperatureOf(sysfs, hwmon, ['edge', 'junction']),
      vram_used_mb: mbOf(discrete ? vramUsed : sharedUsed),
      utilization_pct: file('gpu_busy_percent'),
      power_w: scaled(sensor('power1_average') ?? sensor('power1_input'), 1e-6),
      clock_graphics_mhz:
        scaled(sensor('freq1_input'), 1e-6) ?? activeClockMhz(sysfs, card, 'pp_dpm_sclk'),
      clock_memory_mhz:
        scaled(sensor('freq2_input'), 1e-6) ?? activeClockMhz(sysfs, card, 'pp_dpm_mclk'),
    }
  })
}

const amdCards = (sysfs: Sysfs): readonly DrmCard[] =>
  listDrmCards(sysfs).filter(
    card => card.driver === 'amdgpu' || card.pciDeviceId?.startsWith('1002:') === true,
  )

/**
 * A card has memory chips with a maker, and an APU has none. What is not recognised as a card counts as integrated, so
 * that the machine's own memory is never called VRAM.
 */
function kindOf(sysfs: Sysfs, card: DrmCard, node: KfdNode | undefined): GpuInventory['kind'] {
  const target = gfxTarget(node?.gfxTarget ?? null)
  if (target !== null) return target.form === 'card' ? 'discrete' : 'integrated'
  if (apuDevices.has(card.pciDeviceId?.split(':')[1] ?? '')) return 'integrated'
  const maker = sysfs.read(`${card.device}/mem_info_vram_vendor`)?.trim() ?? 'unknown'
  return maker === '' || maker === 'unknown' ? 'integrated' : 'discrete'
}

/**
 * An APU works in its carve-out or, through the GTT, in main memory. Drivers differ in whether they add the two
 * (ROCm/legacy-rocm-build#6004), and the GTT may be set larger than the memory that there is, so the larger pool
 * counts, and no more than the machine has.
 */
function apuMemoryMb(sysfs: Sysfs, card: DrmCard, vramBytes: number | null): number | null {
  const gttMb = mbOf(numberIn(sysfs.read(`${card.device}/mem_info_gtt_total`)))
  const systemMb = systemMemoryMb(sysfs)
  const shared = gttMb === null || systemMb === null ? null : Math.min(gttMb, systemMb)
  const pools = [mbOf(vramBytes), shared].filter(pool => pool !== null)
  return pools.length === 0 ? null : Math.max(...pools)
}

/** The name in libdrm's list (by device and revision, as on the box), else the PCI database's, else the id. */
function nameOf(sysfs: Sysfs, card: DrmCard): string {
  const product = sysfs.read(`${card.device}/product_name`)?.trim() ?? ''
  if (product !== '') return product.slice(0, 256)
  const revision = /^0x([0-9a-f]{2})$/i.exec(
    sysfs.read(`${card.device}/revision`)?.trim() ?? '',
  )?.[1]
  const device = card.pciDeviceId?.split(':')[1]
  const marketed =
    device === undefined || revision === undefined
      ? null
      : nameInAmdgpuIds(sysfs.read('/usr/share/libdrm/amdgpu.ids') ?? '', device, revision)
  const listed =
    card.pciDeviceId === null ? null : pciName(path => sysfs.read(path), card.pciDeviceId)
  return (marketed ?? listed ?? `AMD GPU ${card.pciDeviceId ?? ''}`.trim()).slice(0, 256)
}

/** @param text libdrm's `amdgpu.ids`: lines such as `744C,	C8,	AMD Radeon RX 7900 XTX` */
export function nameInAmdgpuIds(text: string, device: string, revision: string): string | null {
  for (const line of text.split('\n')) {
    const [id = '', rev = '', ...name] = line.split(',').map(cell => cell.trim())
    if (
      id.toLowerCase() === device.toLowerCase() &&
      rev.toLowerCase() === revision.toLowerCase() &&
      name.length > 0
    )
      return name.join(', ')
  }
  return null
}

/** The driver that AMD ships has a version of its own; the kernel's carries the kernel's. */
function driverVersionOf(sysfs: Sysfs): string | null {
  const own = sysfs.read('/sys/module/amdgpu/version')?.trim() ?? ''
  if (own !== '') return own.slice(0, 256)
  const kernel = sysfs.read('/proc/sys/kernel/osrelease')?.trim() ?? ''
  return kernel === '' ? null : `kernel ${kernel}`.slice(0, 256)
}

function powerLimitOf(sysfs: Sysfs, card: DrmCard): number | null {
  const hwmon = hwmonOf(sysfs, card)
  return hwmon === null ? null : scaled(numberIn(sysfs.read(`${hwmon}/power1_cap`)), 1e-6)
}

/** The level marked with a star in a list such as `1: 685Mhz *`. */
function activeClockMhz(sysfs: Sysfs, card: DrmCard, file: string): number | null {
  const level = /^\s*\d+:\s*(\d+)\s*mhz\s*\*/im.exec(sysfs.read(`${card.device}/${file}`) ?? '')
  return numberIn(level?.[1] ?? null)
}

const scaled = (value: number | null, factor: number): number | null =>
  value === null ? null : Math.round(value * factor * 1000) / 1000

import { graphics, type Systeminformation } from 'systeminformation'
import type { GpuInventory } from '../protocol/gpu.ts'
import type { ReadText } from './cgroup.ts'
import { normalPciBusId } from './pci.ts'
import { unknownReading, type GpuProbe } from './probe.ts'
import { mbOf, numberIn } from './sysfs.ts'

type Controller = Systeminformation.GraphicsControllerData
type Vendor = GpuInventory['vendor']

/** What the operating system lists as graphics controllers; used for the vendors that have no probe of their own. */
export async function listControllers(): Promise<readonly Controller[]> {
  const { controllers } = await graphics()
  return controllers
}

/** A probe of last resort: what the operating system lists, without readings. */
export function createListedProbe(read: ReadText, platform = process.platform): GpuProbe {
  let known: readonly GpuInventory[] = []
  return {
    async inventory() {
      known = inventoryOfControllers(await listControllers(), platform, read)
      return { gpus: known, problems: [] }
    },
    readings: () => Promise.resolve(known.map(gpu => unknownReading(gpu.id))),
  }
}

/**
 * Turns the operating system's controllers into an inventory.
 * - Display adapters of virtual machines and server boards are left out: they compute nothing.
 * - `discrete` is only said of products that are known to be cards; a device that is not recognised is integrated,
 *   so that the machine's own memory is never counted as VRAM.
 * - `vram` of Linux is left out: there it is the size of a PCI window, often 256 MB. The amdgpu driver tells the true
 *   figure in sysfs.
 */
export function inventoryOfControllers(
  controllers: readonly Controller[],
  platform: NodeJS.Platform,
  read: ReadText,
): GpuInventory[] {
  return controllers
    .filter(controller => !isDisplayOnly(`${controller.vendor} ${controller.model}`))
    .map((controller, at) => {
      const vendor = vendorOfText(`${controller.vendor} ${controller.model}`)
      const kind = kindOfModel(vendor, controller.model)
      const pciBusId = normalPciBusId(controller.busAddress || controller.pciBus || null)
      return {
        id: pciBusId === null ? `${vendor}-${at}` : `pci-${pciBusId}`,
        vendor,
        kind,
        name: (controller.model || controller.name || 'unknown').slice(0, 256),
        vramTotalMb: kind === 'discrete' ? vramOf(controller, pciBusId, platform, read) : null,
        driverVersion: controller.driverVersion?.slice(0, 256) || null,
        computeCapability: null,
        pciBusId,
        source: 'systeminformation',
      }
    })
}

/** Adapters of virtual machines and server boards, by maker and model: they show a picture and compute nothing. */
export const isDisplayOnly = (text: string): boolean => displayOnly.test(text)

const displayOnly =
  /virtio|vmware|virtualbox|qxl|cirrus|bochs|hyper-v|basic (render|display)|parallels|citrix|aspeed|matrox|remote display|displaylink/i

/** @param text maker and model as the operating system writes them */
export function vendorOfText(text: string): Vendor {
  if (/nvidia/i.test(text)) return 'nvidia'
  if (/\bamd\b|\bati\b|advanced micro devices|radeon/i.test(text)) return 'amd'
  if (/apple/i.test(text)) return 'apple'
  if (/intel/i.test(text)) return 'intel'
  return 'other'
}

/** A card by its product name; what is not recognised is integrated, so that main memory is never called VRAM. */
export function kindOfModel(vendor: Vendor, model: string): GpuInventory['kind'] {
  if (vendor === 'apple') return 'unified'
  if (vendor === 'nvidia') return 'discrete'
  const plain = model.replaceAll(/\((?:tm|r)\)/gi, '').replaceAll(/\s+/g, ' ')
  // The Arc B370 and B390 are on the processor's die, the only ones of their letter.
  const isCard =
    (vendor === 'intel' &&
      /\barc\b.*\b(?!B3[79]0)[AB]\d{2,3}M?\b|data center gpu|\bDG[12]\b/i.test(plain)) ||
    (vendor === 'amd' &&
      /radeon (rx|r9|pro|vii|ai pro)|instinct|firepro|\bnavi\b/i.test(plain) &&
      !/vega (3|5|6|7|8|9|10|11)\b/i.test(plain))
  return isCard ? 'discrete' : 'integrated'
}

function vramOf(
  controller: Controller,
  pciBusId: string | null,
  platform: NodeJS.Platform,
  read: ReadText,
): number | null {
  if (platform === 'linux') {
    if (pciBusId === null) return null
    return mbOf(numberIn(read(`/sys/bus/pci/devices/${pciBusId}/mem_info_vram_total`)))
  }
  if (controller.vramDynamic || controller.vram === null || controller.vram <= 0) return null
  // Windows' AdapterRAM has 32 bits: a card of 24 GB shows 4095 MB when the registry did not tell better.
  const capped = platform === 'win32' && Math.round(controller.vram) === 4095
  return capped ? null : Math.round(controller.vram)
}

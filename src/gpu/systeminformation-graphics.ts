import { graphics, type Systeminformation } from 'systeminformation'
import type { GpuInventory } from '../protocol/gpu.ts'
import type { ReadText } from './cgroup.ts'

type Controller = Systeminformation.GraphicsControllerData
type Vendor = GpuInventory['vendor']

/** What the operating system lists as graphics controllers; used for the vendors that have no probe of their own. */
export async function listControllers(): Promise<readonly Controller[]> {
  const { controllers } = await graphics()
  return controllers
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
    .filter(controller => !displayOnly.test(`${controller.vendor} ${controller.model}`))
    .map((controller, at) => {
      const vendor = vendorOf(controller)
      const kind = kindOf(vendor, controller.model)
      const pciBusId = controller.busAddress || controller.pciBus || null
      return {
        id: pciBusId === null ? `${vendor}-${at}` : `pci-${pciBusId}`.slice(0, 128),
        vendor,
        kind,
        name: (controller.model || controller.name || 'unknown').slice(0, 256),
        vramTotalMb: kind === 'discrete' ? vramOf(controller, pciBusId, platform, read) : null,
        driverVersion: controller.driverVersion?.slice(0, 256) || null,
        computeCapability: null,
        pciBusId: pciBusId?.slice(0, 256) ?? null,
        source: 'systeminformation',
      }
    })
}

const displayOnly =
  /virtio|vmware|virtualbox|qxl|cirrus|bochs|hyper-v|basic (render|display)|parallels|citrix|aspeed|matrox|remote display|displaylink/i

function vendorOf(controller: Controller): Vendor {
  const text = `${controller.vendor} ${controller.model}`
  if (/nvidia/i.test(text)) return 'nvidia'
  if (/\bamd\b|\bati\b|advanced micro devices|radeon/i.test(text)) return 'amd'
  if (/apple/i.test(text)) return 'apple'
  if (/intel/i.test(text)) return 'intel'
  return 'other'
}

function kindOf(vendor: Vendor, model: string): GpuInventory['kind'] {
  if (vendor === 'apple') return 'unified'
  if (vendor === 'nvidia') return 'discrete'
  const isCard =
    (vendor === 'intel' && /\barc\b.*\b[AB]\d{2,3}M?\b|data center gpu|\bDG[12]\b/i.test(model)) ||
    (vendor === 'amd' &&
      /radeon (rx|pro|vii|ai pro)|instinct|firepro|\bnavi\b/i.test(model) &&
      !/vega (3|5|6|7|8|9|10|11)\b/i.test(model))
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
    const address = /^[0-9a-f]{4}:/i.test(pciBusId) ? pciBusId : `0000:${pciBusId}`
    const bytes = Number(read(`/sys/bus/pci/devices/${address}/mem_info_vram_total`) ?? Number.NaN)
    return Number.isFinite(bytes) ? Math.round(bytes / 1024 ** 2) : null
  }
  if (controller.vramDynamic || controller.vram === null || controller.vram <= 0) return null
  // Windows' AdapterRAM has 32 bits: a card of 24 GB shows 4095 MB when the registry did not tell better.
  const capped = platform === 'win32' && Math.round(controller.vram) === 4095
  return capped ? null : Math.round(controller.vram)
}

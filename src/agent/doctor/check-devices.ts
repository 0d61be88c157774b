import { normalPciBusId } from '../../gpu/pci.ts'
import type { PciDisplay } from '../../gpu/pci-displays.ts'
import type { GpuInventory } from '../../protocol/gpu.ts'
import { says, type Finding } from './finding.ts'

export type DevicesFacts = {
  readonly platform: NodeJS.Platform
  /** What the bus shows; null where it cannot be looked at. */
  readonly displays: readonly PciDisplay[] | null
  readonly gpus: readonly Pick<GpuInventory, 'name' | 'vendor' | 'pciBusId' | 'source'>[]
  /** What the probes said went wrong. */
  readonly problems: readonly string[]
}

const { ok, warning, failing } = says('devices')

/** A card that the machine has must answer through its driver; a mention in the system's list is no answer. */
export function checkDevices(facts: DevicesFacts): readonly Finding[] {
  const { gpus, displays, problems } = facts
  const answering = gpus.filter(gpu => answers(gpu))
  const silent = (displays ?? []).filter(card => !isAmong(card, answering))
  // Where the bus cannot be looked at (Windows' own list has them), whoever is only listed is silent too.
  const listed = gpus
    .filter(gpu => !answers(gpu) && !isAmong(gpu, silent))
    .map(gpu => ({ ...gpu, driver: null }))
  const findings = [
    ...answering.map(gpu => ok(`${gpu.name} answers through ${gpu.source}`)),
    ...[...silent, ...listed].map(card => silence(card, facts.platform)),
    ...problems.map(problem =>
      warning(problem, 'put this right if the pool is to use the device, then look again'),
    ),
  ]
  return findings.length > 0
    ? findings
    : [ok('no GPU is in this machine: it serves on its processor')]
}

/** Vendors whose driver is asked by a probe of its own. */
const answers = (gpu: DevicesFacts['gpus'][number]): boolean =>
  gpu.vendor === 'nvidia'
    ? !['systeminformation', 'wmi'].includes(gpu.source)
    : gpu.source !== 'systeminformation' || gpu.vendor === 'other'

type Place = Pick<PciDisplay, 'vendor' | 'pciBusId'>

/** The same place on the bus; where a place is not known, the same vendor. */
function isAmong(card: Place, others: readonly Place[]): boolean {
  const place = normalPciBusId(card.pciBusId)
  return others.some(other => {
    const otherPlace = normalPciBusId(other.pciBusId)
    return place === null || otherPlace === null
      ? card.vendor === other.vendor
      : place === otherPlace
  })
}

function silence(card: PciDisplay, platform: NodeJS.Platform): Finding {
  const { name, driver, vendor } = card
  const what = `${name}${card.pciBusId === null ? '' : ` (${card.pciBusId})`}`
  if (driver === 'vfio-pci')
    return warning(
      `${what} is set aside for a virtual machine (vfio-pci)`,
      'run the agent in that virtual machine, or give the card back to this system',
    )
  // Processors' own graphics: slower than the processor mostly, so no reason to fail.
  const say = vendor === 'intel' ? warning : failing
  const state = driver === null ? 'no driver has it' : `its driver (${driver}) does not answer`
  return say(`${what} is there, but ${state}`, remedy(vendor, driver, platform))
}

function remedy(
  vendor: PciDisplay['vendor'],
  driver: string | null,
  platform: NodeJS.Platform,
): string {
  if (platform === 'win32')
    return `install the newest driver of ${vendor.toUpperCase()} and restart Windows`
  if (vendor === 'nvidia' && driver === 'nvidia')
    return 'restart the machine; if it stays silent, install the driver and its tools (libnvidia-ml, nvidia-smi) in one version'
  if (vendor === 'nvidia')
    return "install NVIDIA's own driver (Ubuntu: sudo ubuntu-drivers install; Debian: nvidia-driver; Fedora: akmod-nvidia) and restart"
  const module = vendor === 'amd' ? 'amdgpu' : 'xe or i915'
  return `load the kernel's driver for it (${module}): a newer kernel, and the package with its firmware (linux-firmware, firmware-${vendor === 'amd' ? 'amd-graphics' : 'intel-graphics'})`
}

import { gfxNameOfKfdVersion } from './amd-gfx-targets.ts'
import { busId } from './pci.ts'
import { numberIn, type Sysfs } from './sysfs.ts'

/** A GPU as the compute part of the amdgpu driver (KFD) describes it. */
export type KfdNode = {
  readonly pciBusId: string | null
  readonly gfxTarget: string | null
  readonly computeUnits: number | null
  readonly renderMinor: number | null
  /** Local memory in bytes, summed over its banks; null when no bank is listed. */
  readonly memoryBytes: number | null
}

const topology = '/sys/class/kfd/kfd/topology/nodes'

/** Lists the GPUs of the KFD topology; CPU nodes are left out. Reading it wakes no device. */
export function readKfdNodes(sysfs: Sysfs): readonly KfdNode[] {
  const nodes: KfdNode[] = []
  for (const name of sysfs.list(topology)) {
    const node = parseKfdProperties(sysfs.read(`${topology}/${name}/properties`) ?? '')
    if (node === null) continue
    const banks = sysfs
      .list(`${topology}/${name}/mem_banks`)
      .map(bank => parseKfdBank(sysfs.read(`${topology}/${name}/mem_banks/${bank}/properties`)))
      .filter(bytes => bytes !== null)
    nodes.push({
      ...node,
      memoryBytes: banks.length === 0 ? null : banks.reduce((sum, bytes) => sum + bytes, 0),
    })
  }
  return nodes
}

/** Reads a node's `properties`; null for a CPU, which has no SIMD units. */
export function parseKfdProperties(text: string): Omit<KfdNode, 'memoryBytes'> | null {
  const field = (name: string) =>
    numberIn(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? null)
  const simds = field('simd_count')
  if (simds === null || simds === 0) return null
  const [location, domain, simdPerCu] = [
    field('location_id'),
    field('domain') ?? 0,
    field('simd_per_cu'),
  ]
  return {
    pciBusId:
      location === null
        ? null
        : busId(domain, (location >> 8) & 0xff, (location >> 3) & 0x1f, location & 7),
    gfxTarget: gfxNameOfKfdVersion(field('gfx_target_version')),
    computeUnits: simdPerCu === null || simdPerCu === 0 ? null : Math.floor(simds / simdPerCu),
    renderMinor: field('drm_render_minor'),
  }
}

/** @returns the size of a memory bank in bytes */
export const parseKfdBank = (text: string | null): number | null =>
  numberIn(/^size_in_bytes (\d+)$/m.exec(text ?? '')?.[1] ?? null)

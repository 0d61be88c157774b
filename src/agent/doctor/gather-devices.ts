import { constants, open, stat, readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { displaysWithoutDriver, listPciDisplays, type PciDisplay } from '../../gpu/pci-displays.ts'
import { listDrmCards, type Sysfs } from '../../gpu/sysfs.ts'
import { parseWindowsReport } from '../../gpu/windows-controllers.ts'
import { queryWindows } from '../../gpu/windows-query.ts'
import { readSurroundings } from '../../gpu/wsl.ts'
import type { DeviceNode, PermissionsFacts } from './check-permissions.ts'

/** The cards of the bus, whoever drives them; null where the system does not show it. */
export async function gatherDisplays(
  sysfs: Sysfs,
  platform: NodeJS.Platform,
): Promise<readonly PciDisplay[] | null> {
  if (platform === 'linux') return listPciDisplays(sysfs)
  if (platform !== 'win32') return null
  const answer = await queryWindows()
  return answer.type === 'answer' ? displaysWithoutDriver(parseWindowsReport(answer.stdout)) : null
}

/** Tries the device files that the GPUs of this machine need. Opening one does not wake its card. */
export async function gatherPermissions(
  sysfs: Sysfs,
  platform: NodeJS.Platform,
  displays: readonly PciDisplay[],
): Promise<PermissionsFacts> {
  const facts = { platform, user: userInfo().username, container: false, nodes: [] }
  if (platform !== 'linux') return facts
  const groups = await readFile('/etc/group', 'utf8').catch(() => '')
  const nodes = nodesOf(sysfs, displays).map(node => tryNode(node, groups))
  return {
    ...facts,
    container: readSurroundings(sysfs).container,
    nodes: await Promise.all(nodes),
  }
}

type WantedNode = Pick<DeviceNode, 'path' | 'need'>

/** The files that belong to the cards; a card without its driver has none to ask for, which another check says. */
export function nodesOf(sysfs: Sysfs, displays: readonly PciDisplay[]): readonly WantedNode[] {
  const nodes: WantedNode[] = []
  const driven = (vendor: PciDisplay['vendor'], ...drivers: string[]) =>
    displays.some(card => card.vendor === vendor && drivers.includes(card.driver ?? ''))
  if (driven('nvidia', 'nvidia')) {
    const numbered = sysfs.list('/dev').filter(name => /^nvidia\d+$/.test(name))
    for (const name of ['nvidiactl', ...(numbered.length > 0 ? numbered : ['nvidia0'])])
      nodes.push({ path: `/dev/${name}`, need: 'compute' })
    nodes.push({ path: '/dev/nvidia-uvm', need: 'compute' })
  }
  for (const card of listDrmCards(sysfs))
    if (['amdgpu', 'i915', 'xe'].includes(card.driver ?? ''))
      nodes.push({ path: card.renderNode ?? '/dev/dri/renderD128', need: 'compute' })
  // The engine drives AMD's cards by Vulkan; what needs this file are AMD's own tools, for figures.
  if (driven('amd', 'amdgpu')) nodes.push({ path: '/dev/kfd', need: 'readings' })
  return nodes
}

async function tryNode(node: WantedNode, groups: string): Promise<DeviceNode> {
  const facts = await stat(node.path).catch(() => null)
  const group = facts === null ? null : groupName(groups, facts.gid)
  try {
    const file = await open(node.path, constants.O_RDWR)
    await file.close()
    return { ...node, obstacle: null, group }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    return { ...node, obstacle: code, group }
  }
}

/** @param text `/etc/group` */
export const groupName = (text: string, gid: number): string | null =>
  text
    .split('\n')
    .find(line => line.split(':')[2] === String(gid))
    ?.split(':')[0] ?? null

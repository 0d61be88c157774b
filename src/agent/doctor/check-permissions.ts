import { says, type Finding } from './finding.ts'

/** A device node that llama.cpp or a probe opens. */
export type DeviceNode = {
  readonly path: string
  /** What it is needed for; `readings`: only figures are lost without it. */
  readonly need: 'compute' | 'readings'
  /** `ENOENT`, `EACCES` and the like; null: this user can open it. */
  readonly obstacle: string | null
  /** The group that may open it; null: unknown. */
  readonly group: string | null
}

export type PermissionsFacts = {
  readonly platform: NodeJS.Platform
  readonly user: string
  readonly container: boolean
  readonly nodes: readonly DeviceNode[]
}

const { ok, warning, failing, skipped } = says('permissions')

/** On Linux a GPU is a file, and whoever may not open it has none. */
export function checkPermissions(facts: PermissionsFacts): readonly Finding[] {
  if (facts.platform !== 'linux') return [skipped('devices need none on this system')]
  if (facts.nodes.length === 0) return [skipped('there is no GPU whose device is a file')]
  const open = facts.nodes.filter(node => node.obstacle === null)
  const shut = facts.nodes.filter(node => node.obstacle !== null)
  return [
    ...(open.length > 0 ? [ok(`can open ${open.map(node => node.path).join(', ')}`)] : []),
    ...shut.map(node => {
      const say = node.need === 'compute' ? failing : warning
      return say(`${node.path}: ${words(node.obstacle)}`, remedy(node, facts))
    }),
  ]
}

const words = (obstacle: string | null): string =>
  obstacle === 'ENOENT'
    ? 'is not there'
    : obstacle === 'EACCES' || obstacle === 'EPERM'
      ? 'this user may not open it'
      : `cannot be opened (${obstacle ?? 'unknown'})`

function remedy(node: DeviceNode, { user, container }: PermissionsFacts): string {
  if (container)
    return node.path.startsWith('/dev/nvidia')
      ? "start the container with NVIDIA's toolkit (docker run --gpus all)"
      : `start the container with --device ${node.path}${node.group === null ? '' : ` --group-add ${node.group}`}`
  if (node.obstacle === 'EACCES' || node.obstacle === 'EPERM')
    return node.group === null || node.group === 'root'
      ? `let ${user} open it (a udev rule, or the group that owns it)`
      : `sudo usermod -aG ${node.group} ${user}, then log in again`
  if (node.path === '/dev/nvidia-uvm') return 'sudo modprobe nvidia-uvm, or restart the machine'
  return 'load the driver (restart the machine after installing it)'
}

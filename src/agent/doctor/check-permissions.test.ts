import { describe, expect, test } from 'bun:test'
import { sysfsOfFiles } from '../../gpu/sysfs-of-files.ts'
import { checkPermissions, type DeviceNode, type PermissionsFacts } from './check-permissions.ts'
import { groupName, nodesOf } from './gather-devices.ts'

const node = (change: Partial<DeviceNode> = {}): DeviceNode => ({
  path: '/dev/dri/renderD128',
  need: 'compute',
  obstacle: null,
  group: 'render',
  ...change,
})
const check = (nodes: readonly DeviceNode[], change: Partial<PermissionsFacts> = {}) =>
  checkPermissions({ platform: 'linux', user: 'ann', container: false, nodes, ...change })

describe('the devices of a machine', () => {
  test('that can be opened are well, in one line', () => {
    expect(check([node(), node({ path: '/dev/kfd' })])).toEqual([
      expect.objectContaining({ status: 'ok', text: 'can open /dev/dri/renderD128, /dev/kfd' }),
    ])
  })

  test('that this user may not open fail with the group to join', () => {
    expect(check([node({ obstacle: 'EACCES' })])).toEqual([
      {
        check: 'permissions',
        status: 'failing',
        text: '/dev/dri/renderD128: this user may not open it',
        todo: 'sudo usermod -aG render ann, then log in again',
      },
    ])
  })

  test('that are not passed into a container fail with the option to start it with', () => {
    const lost = { obstacle: 'ENOENT', group: null }
    expect(check([node(lost)], { container: true })[0]?.todo).toContain(
      '--device /dev/dri/renderD128',
    )
    const nvidia = check([node({ ...lost, path: '/dev/nvidiactl' })], { container: true })
    expect(nvidia[0]?.todo).toContain('--gpus all')
  })

  test('that only figures come from are a warning; nodes of an unknown reason tell it', () => {
    expect(check([node({ path: '/dev/kfd', need: 'readings', obstacle: 'EACCES' })])).toEqual([
      expect.objectContaining({ status: 'warning' }),
    ])
    expect(check([node({ path: '/dev/nvidia-uvm', obstacle: 'ENOENT' })])[0]?.todo).toContain(
      'modprobe nvidia-uvm',
    )
    expect(check([node({ obstacle: 'EIO' })])[0]?.text).toContain('EIO')
  })

  test('are skipped where there are none and where no files stand for them', () => {
    expect(check([])[0]?.status).toBe('skipped')
    expect(check([node({ obstacle: 'EACCES' })], { platform: 'win32' })[0]?.status).toBe('skipped')
  })
})

test('the nodes follow from the cards and their drivers; a card without one has none to ask for', () => {
  const card = { name: 'x', pciBusId: null }
  const sysfs = sysfsOfFiles({
    '/dev/nvidia0': '',
    '/dev/nvidia1': '',
    '/sys/class/drm/card1/device/uevent': 'DRIVER=amdgpu\n',
    '/sys/class/drm/card1/device/drm/renderD129/dev': '',
  })
  expect(
    nodesOf(sysfs, [
      { ...card, vendor: 'nvidia', driver: 'nvidia' },
      { ...card, vendor: 'amd', driver: 'amdgpu' },
    ]).map(({ path }) => path),
  ).toEqual([
    '/dev/nvidiactl',
    '/dev/nvidia0',
    '/dev/nvidia1',
    '/dev/nvidia-uvm',
    '/dev/dri/renderD129',
    '/dev/kfd',
  ])
  expect(nodesOf(sysfsOfFiles({}), [{ ...card, vendor: 'nvidia', driver: 'nouveau' }])).toEqual([])
})

test('a group has the name that the system gives it', () => {
  expect(groupName('root:x:0:\nrender:x:104:ann\n', 104)).toBe('render')
  expect(groupName('root:x:0:\n', 104)).toBeNull()
})

import { describe, expect, test } from 'bun:test'
import { sysfsOfFiles } from './sysfs-of-files.ts'
import { accessProblems, createAccessProbe, readSurroundings } from './wsl.ts'

const wslKernel = { '/proc/sys/kernel/osrelease': '5.15.153.1-microsoft-standard-WSL2\n' }

describe('the surroundings', () => {
  test('of WSL2 are told by its kernel, and its GPU by /dev/dxg', () => {
    expect(readSurroundings(sysfsOfFiles({ ...wslKernel, '/dev/dxg': '' }))).toEqual({
      wsl: true,
      dxg: true,
      container: false,
    })
    const kernel = { '/proc/sys/kernel/osrelease': '6.8.0-1021-azure\n' }
    expect(readSurroundings(sysfsOfFiles(kernel)).wsl).toBe(false)
  })

  test.each([
    { '/.dockerenv': '' },
    { '/run/.containerenv': '' },
    { '/proc/1/cgroup': '0::/kubepods.slice/kubepods-burstable.slice\n' },
  ])('of a container are told by %p', files => {
    expect(readSurroundings(sysfsOfFiles(files)).container).toBe(true)
  })
})

describe('what stands in the way', () => {
  const problemsOf = (files: Record<string, string>, drivers: readonly string[]) => {
    const sysfs = sysfsOfFiles(files)
    return accessProblems(sysfs, readSurroundings(sysfs), drivers)
  }

  test('in WSL2 without the shared GPU, and with a GPU that llama.cpp cannot use there', () => {
    expect(problemsOf(wslKernel, [])[0]).toContain('wsl --update')
    expect(problemsOf({ ...wslKernel, '/dev/dxg': '' }, [])[0]).toContain('on Windows itself')
    const nvidia = { ...wslKernel, '/dev/dxg': '', '/usr/lib/wsl/lib/nvidia-smi': '' }
    expect(problemsOf(nvidia, [])).toEqual([])
  })

  test('in a container that was given no device nodes, though the kernel shows the card', () => {
    expect(problemsOf({ '/.dockerenv': '' }, ['amdgpu'])).toEqual([
      'A GPU is there, but no /dev/dri/renderD* node. Start the container with --device /dev/dri.',
    ])
    expect(problemsOf({ '/.dockerenv': '', '/dev/dri/renderD128': '' }, ['amdgpu'])).toEqual([])
  })
})

test('the probe finds no device, only what is in the way', async () => {
  const files = {
    '/.dockerenv': '',
    '/sys/class/drm/card0/device/uevent': 'DRIVER=xe\nPCI_ID=8086:E20B\n',
  }
  const { gpus, problems } = await createAccessProbe(sysfsOfFiles(files)).inventory()
  expect([gpus.length, problems.length]).toEqual([0, 1])
  expect(await createAccessProbe(sysfsOfFiles({})).inventory()).toEqual({ gpus: [], problems: [] })
})

import { expect, test } from 'bun:test'
import { readCgroupLimits } from './cgroup.ts'

const reader = (files: Record<string, string>) => (path: string) => files[path] ?? null

test('a machine without limits has none', () => {
  expect(readCgroupLimits(reader({}))).toEqual({
    cpus: null,
    memoryBytes: null,
    memoryUsedBytes: null,
  })
  const limits = readCgroupLimits(
    reader({
      '/proc/self/cgroup': '0::/user.slice/user-1000.slice\n',
      '/sys/fs/cgroup/user.slice/user-1000.slice/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/user.slice/user-1000.slice/memory.max': 'max\n',
    }),
  )
  expect(limits).toEqual({ cpus: null, memoryBytes: null, memoryUsedBytes: null })
})

test('a container of cgroup v2 sees its quota at the mount', () => {
  const limits = readCgroupLimits(
    reader({
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/memory.max': '4294967296\n',
      '/sys/fs/cgroup/memory.current': '1073741824\n',
      '/sys/fs/cgroup/memory.stat': 'anon 500000000\nfile 573741824\ninactive_file 268435456\n',
    }),
  )
  expect(limits).toEqual({
    cpus: 1.5,
    memoryBytes: 4_294_967_296,
    memoryUsedBytes: 1_073_741_824 - 268_435_456,
  })
})

test('the tightest of the groups above counts', () => {
  const limits = readCgroupLimits(
    reader({
      '/proc/self/cgroup': '0::/system.slice/gpupool.service\n',
      '/sys/fs/cgroup/system.slice/gpupool.service/cpu.max': '400000 100000\n',
      '/sys/fs/cgroup/system.slice/cpu.max': '200000 100000\n',
    }),
  )
  expect(limits.cpus).toBe(2)
})

test('cgroup v1 is understood, its huge number for "no limit" included', () => {
  const limits = readCgroupLimits(
    reader({
      '/proc/self/cgroup': '4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    }),
  )
  expect(limits).toEqual({ cpus: 0.5, memoryBytes: null, memoryUsedBytes: null })
})

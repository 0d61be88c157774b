import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { readCaches, readNumaNodes } from './cpu-cache.ts'
import { sysfsAt } from './sysfs.ts'
import { sysfsOfFiles } from './sysfs-of-files.ts'

const cache = (cpu: number, index: number, facts: readonly [string, string, string, string]) => {
  const dir = `/sys/devices/system/cpu/cpu${cpu}/cache/index${index}`
  const [level, type, size, sharers] = facts
  return {
    [`${dir}/level`]: `${level}\n`,
    [`${dir}/type`]: `${type}\n`,
    [`${dir}/size`]: `${size}\n`,
    [`${dir}/shared_cpu_list`]: `${sharers}\n`,
  }
}

/** Two cores of two threads each, one L3. */
const twoCores = Object.assign(
  {},
  ...[0, 1, 2, 3].flatMap(cpu => {
    const core = cpu % 2 === 0 ? '0,2' : '1,3'
    return [
      cache(cpu, 0, ['1', 'Data', '32K', core]),
      cache(cpu, 1, ['1', 'Instruction', '32K', core]),
      cache(cpu, 2, ['2', 'Unified', '1024K', core]),
      cache(cpu, 3, ['3', 'Unified', '32768K', '0-3']),
    ]
  }),
) as Record<string, string>

test('each cache counts once, however many processors share it', () => {
  expect(readCaches(sysfsOfFiles(twoCores))).toEqual({
    l1d: 2 * 32 * 1024,
    l2: 2 * 1024 * 1024,
    l3: 32 * 1024 * 1024,
  })
})

test('a level that the machine hides is unknown', () => {
  expect(readCaches(sysfsOfFiles(cache(0, 0, ['1', 'Data', '32K', '0'])))).toEqual({
    l1d: 32 * 1024,
    l2: null,
    l3: null,
  })
})

test('NUMA nodes are counted, other files beside them are not', () => {
  const dir = '/sys/devices/system/node'
  const files = {
    [`${dir}/node0/cpulist`]: '',
    [`${dir}/node1/cpulist`]: '',
    [`${dir}/online`]: '',
  }
  expect(readNumaNodes(sysfsOfFiles(files))).toBe(2)
  expect(readNumaNodes(sysfsOfFiles({}))).toBeNull()
})

test('this machine can be read', () => {
  for (const bytes of Object.values(readCaches(sysfsAt())))
    expect(bytes === null || bytes >= 1024).toBe(true)
})

test('garbage adds nothing', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (size, level) => {
      const found = readCaches(sysfsOfFiles(cache(0, 0, [level, 'Data', size, '0'])))
      return Object.values(found).every(bytes => bytes === null || Number.isFinite(bytes))
    }),
  )
})

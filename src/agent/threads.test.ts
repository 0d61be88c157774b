import { expect, test } from 'bun:test'
import { chooseThreads, parseThreads } from './threads.ts'

const idle = { chosen: null, loadAverage: 0 }

test('an idle machine gives its physical cores but one', () => {
  expect(chooseThreads({ ...idle, physicalCores: 8, logicalCores: 16 })).toBe(7)
  expect(chooseThreads({ ...idle, physicalCores: 2, logicalCores: 2 })).toBe(1)
  expect(chooseThreads({ ...idle, physicalCores: 1, logicalCores: 1 })).toBe(1)
})

test('a busy machine gives what is free, and one thread at least', () => {
  const machine = { chosen: null, physicalCores: 8, logicalCores: 16 }
  expect(chooseThreads({ ...machine, loadAverage: 11.5 })).toBe(4)
  expect(chooseThreads({ ...machine, loadAverage: 40 })).toBe(1)
})

test('the owner has the last word', () => {
  expect(chooseThreads({ chosen: 3, physicalCores: 2, logicalCores: 2, loadAverage: 9 })).toBe(3)
  expect(parseThreads(undefined)).toBeNull()
  expect(parseThreads('4')).toBe(4)
  expect(parseThreads('many')).toContain('GPUPOOL_AGENT_THREADS')
  expect(parseThreads('0')).toContain('GPUPOOL_AGENT_THREADS')
})

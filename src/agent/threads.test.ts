import { expect, test } from 'bun:test'
import { chooseThreads, parseCalibrate, parseThreads } from './threads.ts'

const idle = { chosen: null, calibrated: null, busyCores: 0 }
const two = { physicalCores: 2, logicalCores: 2, machineCores: 2 }
const sixteen = { physicalCores: 8, logicalCores: 16, machineCores: 16 }

test('an idle machine gives its physical cores but one', () => {
  expect(chooseThreads({ ...idle, ...sixteen })).toBe(7)
  expect(chooseThreads({ ...idle, ...two })).toBe(1)
  expect(chooseThreads({ ...idle, physicalCores: 1, logicalCores: 1, machineCores: 1 })).toBe(1)
})

test('a busy machine gives what is free, and one thread at least', () => {
  expect(chooseThreads({ ...idle, ...sixteen, busyCores: 11.5 })).toBe(4)
  expect(chooseThreads({ ...idle, ...sixteen, busyCores: 40 })).toBe(1)
})

test('what was measured is taken, less what others keep busy, and never more', () => {
  const calibrated = { ...idle, ...sixteen, calibrated: 6 }
  expect(chooseThreads(calibrated)).toBe(6)
  expect(chooseThreads({ ...calibrated, busyCores: 9.8 })).toBe(6)
  expect(chooseThreads({ ...calibrated, busyCores: 12.2 })).toBe(4)
  expect(chooseThreads({ ...calibrated, busyCores: 99 })).toBe(1)
  const small = { ...idle, ...two, calibrated: 2 }
  expect(chooseThreads({ ...small, busyCores: 0.4 })).toBe(2)
  expect(chooseThreads({ ...small, busyCores: 0.9 })).toBe(1)
})

test('in a container the busy cores of the machine leave what the container may use', () => {
  const container = { ...idle, physicalCores: 4, logicalCores: 4, machineCores: 64, busyCores: 30 }
  expect(chooseThreads({ ...container, calibrated: 4 })).toBe(4)
  expect(chooseThreads(container)).toBe(3)
})

test('the owner has the last word', () => {
  expect(chooseThreads({ ...idle, ...two, chosen: 3, calibrated: 1, busyCores: 9 })).toBe(3)
  expect(parseThreads(undefined)).toBeNull()
  expect(parseThreads('4')).toBe(4)
  expect(parseThreads('many')).toContain('GPUPOOL_AGENT_THREADS')
  expect(parseThreads('0')).toContain('GPUPOOL_AGENT_THREADS')
  expect([parseCalibrate(undefined), parseCalibrate('on'), parseCalibrate('off')]).toEqual([
    true,
    true,
    false,
  ])
  expect(parseCalibrate('perhaps')).toContain('GPUPOOL_AGENT_CALIBRATE')
})

import { expect, test } from 'bun:test'
import os from 'node:os'
import { CpuUse, cpuTimesOf } from './cpu-use.ts'

const idle = (busy: number, idleTime: number) => ({ busy, idle: idleTime })

test('tells how many cores were busy between two looks', () => {
  const use = new CpuUse()
  use.look([idle(0, 0), idle(50, 50)], true)
  expect(use.busyCores).toBeNull()
  use.look([idle(100, 0), idle(100, 100)], true)
  expect(use.busyCores).toBe(1.5)
  use.look([idle(100, 100), idle(100, 200)], true)
  expect(use.busyCores).toBe(0)
})

test('what our own measuring kept busy counts for nobody, not even in the look after it', () => {
  const use = new CpuUse()
  use.look([idle(0, 0)], true)
  use.look([idle(10, 90)], true)
  use.look([idle(110, 90)], false)
  use.look([idle(150, 150)], true)
  expect(use.busyCores).toBe(0.1)
  use.look([idle(150, 250)], true)
  expect(use.busyCores).toBe(0)
})

test('the processors of this machine can be looked at', () => {
  const times = cpuTimesOf(os.cpus())
  expect(times.length).toBeGreaterThan(0)
  for (const { busy, idle: idleTime } of times) expect(busy + idleTime).toBeGreaterThan(0)
})

import { expect, test } from 'bun:test'
import { StallMeter } from './stall-meter.ts'

test('ticks in time and slightly late ones are no stall; one that was held up is, once', () => {
  const meter = new StallMeter(1_000)
  expect(meter.total(50_000)).toBe(0)
  let now = 100_000
  for (let ticks = 0; ticks < 60; ticks++) meter.tick((now += 1_020))
  expect(meter.total(now + 900)).toBe(0)
  // What came in during the stall is handled before the tick that was held up.
  expect(meter.total(now + 6_000)).toBe(5_000)
  meter.tick(now + 6_000)
  expect(meter.total(now + 6_500)).toBe(5_000)
  meter.tick(now + 7_000)
  expect(meter.total(now + 7_000)).toBe(5_000)
})

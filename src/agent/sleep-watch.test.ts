import { expect, test } from 'bun:test'
import { SleepWatch } from './sleep-watch.ts'

test('a machine that was awake did not sleep, however long ago the last check was', () => {
  const watch = new SleepWatch(1_000_000, 0)
  expect(watch.check(1_005_000, 5_000)).toBe(0)
  expect(watch.check(1_605_000, 605_000)).toBe(0)
})

test('sleep is noticed once', () => {
  const watch = new SleepWatch(1_000_000, 0)
  expect(watch.check(1_065_000, 5_000)).toBe(60_000)
  expect(watch.check(1_070_000, 10_000)).toBe(0)
})

test('a clock that is corrected a little, or set back, is no sleep', () => {
  const watch = new SleepWatch(1_000_000, 0)
  expect(watch.check(1_008_000, 5_000)).toBe(0)
  expect(watch.check(200_000, 10_000)).toBe(0)
  expect(watch.check(205_000, 15_000)).toBe(0)
})

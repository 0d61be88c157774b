import { expect, test } from 'bun:test'
import { everyKnowing } from './timers.ts'

test('a call that comes late knows when it was due, one in time is due now, and lateness does not add up', async () => {
  // Looked at once at the start and once a call: in time, 900 ms late, in time, early.
  const looks = [1_000, 1_100, 2_100, 2_200, 2_250]
  const dues: number[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = everyKnowing({ now: () => looks.shift() ?? 2_250 }, 100, dueAt => {
    if (dues.push(dueAt) === 4) resolve()
  })
  await promise
  timer.stop()
  expect(dues.slice(0, 4)).toEqual([1_100, 1_200, 2_200, 2_250])
})

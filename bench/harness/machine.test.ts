import { expect, test } from 'bun:test'
import { disturbances } from './machine.ts'

const quiet = { loadAverageBefore: 1.2, foreignShare: 0.1, stolenShare: 0.02 }

test('a machine at its limits is judged', () => {
  expect(disturbances(quiet, 2)).toEqual([])
})

test.each([
  ['load average', { ...quiet, loadAverageBefore: 1.3 }],
  ['other processes', { ...quiet, foreignShare: 0.2 }],
  ['stolen', { ...quiet, stolenShare: 0.03 }],
])('a machine beyond one limit is not: %s', (reason, busy) => {
  expect(disturbances(busy, 2)).toEqual([expect.stringContaining(reason)])
})

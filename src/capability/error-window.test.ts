import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  errorRateMax,
  errorTally,
  errorWindowMs,
  noOutcomes,
  observeOutcome,
  outcomesMin,
  restoreErrorWindow,
  type ErrorWindow,
} from './error-window.ts'

const start = 1_700_000_000_000
const hour = 60 * 60 * 1000
const after = (outcomes: readonly boolean[], stepMs = 1_000) =>
  outcomes.reduce(
    (window, ok, at) => observeOutcome(window, ok, start + at * stepMs),
    noOutcomes as ErrorWindow,
  )
const mixed = (failed: number, ok: number) => [
  ...Array.from({ length: failed }, () => false),
  ...Array.from({ length: ok }, () => true),
]

describe('the rate of errors', () => {
  test('one early failure says nothing', () => {
    for (const ok of [1, 5, outcomesMin - 2])
      expect(errorTally(after(mixed(1, ok)), start).rate).toBeNull()
    expect(errorTally(after(mixed(1, 0)), start).rate).toBeNull()
  })

  test('one failure of twenty is 5 %, which is allowed', () => {
    expect(errorTally(after(mixed(1, outcomesMin - 1)), start).rate).toBe(errorRateMax)
  })

  test('a setup on which nothing has worked is judged after five tries', () => {
    expect(errorTally(after(mixed(4, 0)), start).rate).toBeNull()
    expect(errorTally(after(mixed(5, 0)), start)).toEqual({ outcomes: 5, failed: 5, rate: 1 })
  })

  test('outcomes count for a day', () => {
    const window = after(mixed(5, 20))
    expect(errorTally(window, start + errorWindowMs - hour).outcomes).toBe(25)
    expect(errorTally(window, start + errorWindowMs).outcomes).toBe(0)
  })

  test('nothing at all is no rate', () => {
    expect(errorTally(noOutcomes, start)).toEqual({ outcomes: 0, failed: 0, rate: null })
  })
})

test('every outcome of the day is counted once, and it comes back out of JSON', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { maxLength: 200 }),
      fc.nat({ max: 6 * 60_000 }),
      (list, step) => {
        const window = after(list, step)
        const now = start + list.length * step
        const { outcomes, failed } = errorTally(window, now)
        expect(outcomes).toBe(list.length)
        expect(failed).toBe(list.filter(ok => !ok).length)
        expect(restoreErrorWindow(JSON.parse(JSON.stringify(window)), now)).toEqual(window)
      },
    ),
  )
})

test('it stays small however long a machine runs', () => {
  const window = after(mixed(500, 500), hour / 2)
  expect(window.steps.length).toBeLessThanOrEqual(24)
})

test('hours that lie ahead are taken as this one', () => {
  const restored = restoreErrorWindow(after(mixed(20, 0)), start - 100 * errorWindowMs)!
  expect(errorTally(restored, start - 99 * errorWindowMs).outcomes).toBe(0)
})

test.each([null, 'x', { steps: [{ startsAt: 1, ok: -1, failed: 0 }] }, { steps: 3 }])(
  '%p is not a window',
  stored => expect(restoreErrorWindow(stored, start)).toBeNull(),
)

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  afterCompletion,
  afterFailure,
  afterHeartbeat,
  afterLostConnection,
  explainReliability,
  newReliabilityRecord,
  reliabilityAtStart,
  reliabilityOf,
  restoreReliabilityRecord,
  withoutFailure,
  type ReliabilityRecord,
} from './reliability.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const start = 1_000_000

type Step = (record: ReliabilityRecord, now: number) => ReliabilityRecord
const times = (count: number, step: Step, record: ReliabilityRecord, now = start) =>
  Array.from({ length: count }).reduce<ReliabilityRecord>(each => step(each, now), record)
const fresh = newReliabilityRecord(start)
const late =
  (lateMs: number): Step =>
  record =>
    afterHeartbeat(record, lateMs)

describe('reliability', () => {
  test('starts low, and twenty-five completed requests lead to 0.8', () => {
    expect(reliabilityOf(fresh, start)).toBeCloseTo(reliabilityAtStart)
    expect(reliabilityOf(times(24, afterCompletion, fresh), start)).toBeLessThan(0.8)
    expect(reliabilityOf(times(25, afterCompletion, fresh), start)).toBeCloseTo(0.8)
  })

  test('of a machine that fails a request in twenty stays below 0.8, however long it serves', () => {
    let record = fresh
    for (let round = 0; round < 1_000; round++)
      record = afterFailure(times(19, afterCompletion, record), start)
    expect(reliabilityOf(record, start)).toBeWithin(0.7, 0.8)
  })

  test('of a machine that served a million requests and now fails falls within ten', () => {
    const famous = times(10_000, afterCompletion, fresh)
    expect(reliabilityOf(famous, start)).toBeWithin(0.9, 1)
    expect(reliabilityOf(times(10, afterFailure, famous), start)).toBeLessThan(0.7)
  })

  test('fades to where it began when nothing confirms it, and so does guilt', () => {
    for (const step of [afterCompletion, afterFailure]) {
      const record = times(30, step, fresh)
      const before = Math.abs(reliabilityOf(record, start) - reliabilityAtStart)
      const after = Math.abs(reliabilityOf(record, start + 7 * dayMs) - reliabilityAtStart)
      expect(after).toBeLessThan(before)
      expect(reliabilityOf(record, start + 365 * dayMs)).toBeCloseTo(reliabilityAtStart)
    }
  })

  test('is lowered by heartbeats that come late again and again, and raised when they are in time again', () => {
    const good = times(50, afterCompletion, fresh)
    const jittery = times(100, late(6_000), good)
    expect(reliabilityOf(good, start) - reliabilityOf(jittery, start)).toBeCloseTo(0.1, 2)
    expect(reliabilityOf(times(100, late(0), jittery), start)).toBeCloseTo(
      reliabilityOf(good, start),
      2,
    )
    const once = times(1, late(10 * hourMs), good)
    expect(reliabilityOf(good, start) - reliabilityOf(once, start)).toBeLessThan(0.03)
  })

  test('is lowered by lost connections, up to a fifth, and a day halves them', () => {
    const good = times(50, afterCompletion, fresh)
    const cost = (lost: number, now = start) =>
      reliabilityOf(good, now) - reliabilityOf(times(lost, afterLostConnection, good), now)
    expect(cost(2)).toBeCloseTo(0.02)
    expect(cost(1_000)).toBeCloseTo(0.2)
    expect(cost(10, start + dayMs)).toBeCloseTo(0.05)
  })

  test('says what it is made of', () => {
    const served = times(2, afterFailure, times(41, afterCompletion, fresh))
    const flaky = times(2, afterLostConnection, times(200, late(3_000), served))
    expect(explainReliability(flaky, start)).toBe(
      '0.65 because 41 of 43 recent requests completed (0.72), heartbeats 3.0 s late on average (-0.05), ' +
        '2 connections lost lately (-0.02)',
    )
    expect(explainReliability(fresh, start)).toBe(
      '0.30 because nothing ran here lately, and an agent starts at 0.3 (0.30)',
    )
  })
})

describe('a record', () => {
  test('comes back from a store as it was, and a damaged one as what the figure beside it says', () => {
    const record = times(3, afterFailure, times(7, afterCompletion, fresh))
    const stored: unknown = JSON.parse(JSON.stringify(record))
    expect(restoreReliabilityRecord(stored, 0.5, start)).toEqual(record)
    for (const broken of [null, undefined, 'x', {}, { ...record, failed: -1 }])
      expect(reliabilityOf(restoreReliabilityRecord(broken, 0.75, start), start)).toBeCloseTo(0.75)
    for (const figure of [0, 0.1, 0.3, 0.9]) {
      const derived = reliabilityOf(newReliabilityRecord(start, figure), start)
      expect(derived).toBeCloseTo(figure, figure === 0 ? 1 : 5)
    }
    expect(reliabilityOf(newReliabilityRecord(start, 1), start)).toBeGreaterThan(0.9)
  })

  test('of a clock that ran ahead does not grow when time goes on', () => {
    const ahead = { ...times(9, afterCompletion, fresh), asOf: start + dayMs }
    const restored = restoreReliabilityRecord(ahead, 0.3, start)
    expect(reliabilityOf(restored, start)).toBeCloseTo(reliabilityOf(ahead, start + dayMs))
    expect(reliabilityOf(ahead, start)).toBeCloseTo(reliabilityOf(ahead, start + dayMs))
  })
})

describe('for any history', () => {
  const steps: Readonly<Record<string, Step>> = {
    completed: afterCompletion,
    failed: afterFailure,
    lost: afterLostConnection,
    late: late(4_000),
    inTime: late(0),
  }
  const history = fc.array(
    fc.record({
      step: fc.constantFrom(...Object.keys(steps)),
      count: fc.integer({ min: 1, max: 60 }),
      afterMs: fc.integer({ min: 0, max: 3 * dayMs }),
    }),
    { maxLength: 12 },
  )
  const lived = (events: { step: string; count: number; afterMs: number }[]) => {
    let now = start
    let record = newReliabilityRecord(now)
    for (const { step, count, afterMs } of events) {
      now += afterMs
      record = times(count, steps[step]!, record, now)
    }
    return { record, now }
  }
  const holds = (property: (record: ReliabilityRecord, now: number) => void): void =>
    fc.assert(
      fc.property(history, events => {
        const { record, now } = lived(events)
        property(record, now)
      }),
      { numRuns: 500 },
    )
  const slack = 1e-12

  test('reliability lies between 0 and 1 and the record stays small', () => {
    holds((record, now) => {
      expect(reliabilityOf(record, now)).toBeWithin(0, 1)
      expect(record.completed + record.failed).toBeLessThanOrEqual(100 + 1e-9)
      expect(JSON.stringify(record).length).toBeLessThan(250)
    })
  })

  test('a completed request never lowers it; a failure, a lost connection and a late heartbeat never raise it', () => {
    holds((record, now) => {
      const before = reliabilityOf(record, now)
      const after = (step: Step) => reliabilityOf(step(record, now), now)
      expect(after(afterCompletion)).toBeGreaterThanOrEqual(before - slack)
      expect(after(late(0))).toBeGreaterThanOrEqual(before - slack)
      expect(after(afterFailure)).toBeLessThanOrEqual(before + slack)
      expect(after(afterLostConnection)).toBeLessThanOrEqual(before + slack)
      expect(after(late(record.latenessMs + 1))).toBeLessThanOrEqual(before + slack)
    })
  })

  test('a failure that is taken back costs nothing, and taking back never lowers it', () => {
    holds((record, now) => {
      const before = reliabilityOf(record, now)
      const failed = afterFailure(record, now)
      const later = now + hourMs
      const forgiven = withoutFailure(failed, now, later)
      expect(reliabilityOf(forgiven, later)).toBeGreaterThanOrEqual(
        reliabilityOf(failed, later) - slack,
      )
      expect(Math.abs(reliabilityOf(withoutFailure(failed, now, now), now) - before)).toBeLessThan(
        0.011,
      )
    })
  })

  test('the order of two events that have nothing to do with each other hardly matters', () => {
    holds((record, now) => {
      const all = Object.values(steps)
      for (const one of all)
        for (const other of all) {
          const oneFirst = reliabilityOf(other(one(record, now), now), now)
          const otherFirst = reliabilityOf(one(other(record, now), now), now)
          expect(Math.abs(oneFirst - otherFirst)).toBeLessThan(0.01)
        }
    })
  })

  test('waiting only moves what was earned towards where it began', () => {
    holds((record, now) => {
      const earned = (at: number) =>
        reliabilityOf({ ...record, lostConnections: 0, latenessMs: 0 }, at)
      const distance = (at: number) => Math.abs(earned(at) - reliabilityAtStart)
      expect(distance(now + dayMs)).toBeLessThanOrEqual(distance(now) + slack)
    })
  })
})

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  isThrottledByHeat,
  noThermalEvents,
  observeHeat,
  restoreThermalWindow,
  thermalEventsIn24h,
  thermalQuietMs,
  thermalWindowMs,
} from './thermal-window.ts'

const start = 1_700_000_000_000
const hour = 60 * 60 * 1000

describe('thermal events', () => {
  test('a card that goes in and out of throttling has one event', () => {
    let window = noThermalEvents
    for (let at = 0; at < 60; at++) window = observeHeat(window, at % 2 === 0, start + at * 30_000)
    expect(thermalEventsIn24h(window, start + hour)).toBe(1)
  })

  test('throttling after a pause is a new event', () => {
    const once = observeHeat(noThermalEvents, true, start)
    const same = observeHeat(once, true, start + thermalQuietMs)
    expect(thermalEventsIn24h(same, start + hour)).toBe(1)
    const again = observeHeat(same, true, start + 2 * thermalQuietMs + 1)
    expect(thermalEventsIn24h(again, start + hour)).toBe(2)
  })

  test('an event counts for 24 hours', () => {
    const window = observeHeat(noThermalEvents, true, start)
    expect(thermalEventsIn24h(window, start + thermalWindowMs - 1)).toBe(1)
    expect(thermalEventsIn24h(window, start + thermalWindowMs)).toBe(0)
  })

  test('what the driver did not say changes nothing', () => {
    expect(observeHeat(noThermalEvents, null, start)).toBe(noThermalEvents)
  })

  test('the words of drivers are understood', () => {
    expect(isThrottledByHeat({ throttle_reasons: ['sw_thermal_slowdown'] })).toBe(true)
    expect(isThrottledByHeat({ throttle_reasons: ['sw_power_cap'] })).toBe(false)
    expect(isThrottledByHeat({ throttle_reasons: [] })).toBe(false)
    expect(isThrottledByHeat({ throttle_reasons: null })).toBeNull()
    expect(isThrottledByHeat({})).toBeNull()
  })
})

describe('remembered over a restart', () => {
  test('a window comes back out of JSON as it was', () => {
    const readings = fc.array(fc.tuple(fc.boolean(), fc.nat({ max: hour })), { maxLength: 60 })
    fc.assert(
      fc.property(readings, list => {
        let [window, now] = [noThermalEvents, start]
        for (const [hot, step] of list) window = observeHeat(window, hot, (now += step))
        const stored: unknown = JSON.parse(JSON.stringify(window))
        expect(restoreThermalWindow(stored, now)).toEqual(window)
      }),
    )
  })

  test('a clock that was set back neither forgets an event nor keeps it for ever', () => {
    const window = observeHeat(noThermalEvents, true, start + 30 * thermalWindowMs)
    const restored = restoreThermalWindow(window, start)!
    expect(thermalEventsIn24h(restored, start)).toBe(1)
    expect(thermalEventsIn24h(restored, start + thermalWindowMs)).toBe(0)
  })

  test.each([
    null,
    3,
    {},
    { events: 'x', lastHotAt: null },
    { events: [Number.NaN], lastHotAt: 1 },
  ])('%p is not a window', stored => {
    expect(restoreThermalWindow(JSON.parse(JSON.stringify(stored)), start)).toBeNull()
  })

  test('it stays small however long a machine runs', () => {
    let window = noThermalEvents
    for (let at = 0; at < 1_000; at++)
      window = observeHeat(window, true, start + at * (thermalQuietMs + 1))
    expect(window.events.length).toBeLessThanOrEqual(16)
    expect(restoreThermalWindow(window, start + 1_000 * hour)).not.toBeNull()
  })
})

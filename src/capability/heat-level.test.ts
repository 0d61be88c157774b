import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { criticalTemperatureC, heatLevel, isTooHot, type HeatLevel } from './heat-level.ts'

const levels = (...temperatures: (number | null)[]): HeatLevel[] => {
  let level: HeatLevel = 'normal'
  return temperatures.map(temperature_c => (level = heatLevel(level, { temperature_c })))
}

test('above 95 °C is critical, and stays so until it has cooled below 85', () => {
  expect(levels(95, 95.1, 90, 85, 84.9, 90)).toEqual([
    'normal',
    'critical',
    'critical',
    'critical',
    'normal',
    'normal',
  ])
})

test('a sensor that falls silent does not make a critical device cool', () => {
  expect(levels(null, 99, null, 40)).toEqual(['normal', 'critical', 'critical', 'normal'])
})

test('throttling for heat is told apart from throttling for power', () => {
  const at70 = (throttle_reasons: string[]) =>
    heatLevel('normal', { temperature_c: 70, throttle_reasons })
  expect(at70(['sw_power_cap'])).toBe('normal')
  expect(at70(['sw_power_cap', 'hw_thermal_slowdown'])).toBe('throttled')
})

test('an event goes on while it throttles or is too hot, and nothing is made up', () => {
  expect(isTooHot({ temperature_c: null, throttle_reasons: null })).toBeNull()
  expect(isTooHot({ temperature_c: 60, throttle_reasons: null })).toBeNull()
  expect(isTooHot({ temperature_c: 96, throttle_reasons: null })).toBe(true)
  expect(isTooHot({ temperature_c: null, throttle_reasons: ['hw_thermal_slowdown'] })).toBe(true)
  expect(isTooHot({ temperature_c: 60, throttle_reasons: [] })).toBe(false)
})

test('whatever is read, a device above the limit is critical', () => {
  const readings = fc.array(fc.option(fc.integer({ min: 0, max: 120 })), { minLength: 1 })
  fc.assert(
    fc.property(readings, temperatures => {
      const seen = levels(...temperatures)
      temperatures.forEach((temperature, at) => {
        if ((temperature ?? 0) > criticalTemperatureC) expect(seen[at]).toBe('critical')
      })
    }),
  )
})

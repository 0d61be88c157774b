import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { isNumberBound, numberRange, type NumberBound } from './number-range.ts'

/** These expressions have only what regular expressions have as well. */
const pattern = (low: NumberBound | null, high: NumberBound | null) => {
  const range = numberRange(low, high)
  return range === null
    ? /^\b\B$/
    : new RegExp(`^(${range.replaceAll('"', '').replaceAll(' ', '')})$`)
}

const decimal = fc
  .tuple(fc.integer({ min: -3_000, max: 3_000 }), fc.constantFrom(1, 10, 1_000, 1_000_000))
  .map(([digits, scale]) => digits / scale)
const bound = fc.option(fc.record({ value: decimal, exclusive: fc.boolean() }))
const isIn = (value: number, low: NumberBound | null, high: NumberBound | null) =>
  (low === null || value > low.value || (value === low.value && !low.exclusive)) &&
  (high === null || value < high.value || (value === high.value && !high.exclusive))

test('a range takes exactly the decimals in it', () => {
  fc.assert(
    fc.property(bound, bound, decimal, fc.nat(999), (low, high, other, more) => {
      const range = pattern(low, high)
      const near = [low?.value ?? 0, high?.value ?? 0, other, Math.trunc(other), 0]
      for (const value of near)
        for (const text of [
          value.toFixed(0),
          value.toFixed(1),
          value.toFixed(6),
          `${value.toFixed(6)}${more}`.slice(0, 18),
          (value + 0.000_001).toFixed(7),
          (value - 0.000_001).toFixed(7),
        ]) {
          // A zero with a sign is a matter of taste.
          if (Number(text) === 0 && text.startsWith('-')) continue
          expect([text, range.test(text)]).toEqual([text, isIn(Number(text), low, high)])
        }
    }),
    { numRuns: 1_000 },
  )
})

test('whatever it takes is in it, as a JSON reader understands it', () => {
  fc.assert(
    fc.property(
      bound,
      bound,
      fc.stringMatching(/^-?(0|[1-9]\d{0,6})(\.\d{1,9})?$/),
      (low, high, text) => {
        if (pattern(low, high).test(text)) expect(isIn(JSON.parse(text), low, high)).toBe(true)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('bounds are exact, or none', () => {
  for (const good of [0, -1, 0.5, 37.25, 1_000_000, -0.000_001])
    expect(isNumberBound(good)).toBe(true)
  for (const bad of [1e-7, 1e9, Infinity, NaN, 0.123_456_7, '1', null])
    expect(isNumberBound(bad)).toBe(false)
})

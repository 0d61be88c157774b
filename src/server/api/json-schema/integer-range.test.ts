import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { integerMax, integerRange } from './integer-range.ts'

/** These expressions have only what regular expressions have as well. */
const pattern = (min: number, max: number) =>
  new RegExp(`^(${integerRange(min, max).replaceAll('"', '').replaceAll(' ', '')})$`)

const integer = fc.oneof(
  fc.integer({ min: -1_500, max: 1_500 }),
  fc.integer({ min: -integerMax, max: integerMax }),
)

test('a range takes exactly the integers in it', () => {
  fc.assert(
    fc.property(integer, integer, integer, (a, b, other) => {
      const min = Math.min(a, b)
      const max = Math.max(a, b)
      const range = pattern(min, max)
      for (const value of [min, max, min - 1, max + 1, other, 0, Math.trunc((min + max) / 2)])
        expect(range.test(String(value))).toBe(value >= min && value <= max)
    }),
    { numRuns: 500 },
  )
})

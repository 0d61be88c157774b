import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { instantToText, storableJson, storableText, textToInstant } from './columns.ts'

test.each([
  ['2026-11-23 14:35:44.123+00', Date.UTC(2026, 10, 23, 14, 35, 44, 123)],
  ['2026-11-23 14:35:44.1+00', Date.UTC(2026, 10, 23, 14, 35, 44, 100)],
  ['2026-11-23 14:35:44+02', Date.UTC(2026, 10, 23, 12, 35, 44)],
  ['2026-11-23 20:05:44+05:30', Date.UTC(2026, 10, 23, 14, 35, 44)],
  ['2026-11-23 09:35:44-05', Date.UTC(2026, 10, 23, 14, 35, 44)],
])('%s is read as its instant', (text, instant) => expect(textToInstant(text)).toBe(instant))

test.each(['23.11.2026 14:35:44 UTC', 'infinity', ''])('%j is not guessed at', text =>
  expect(() => textToInstant(text)).toThrow('timestamptz'),
)

test('an instant is written in whole milliseconds', () => {
  expect(instantToText(Date.UTC(2026, 0, 1) + 0.5)).toBe('2026-01-01T00:00:00.001Z')
})

const anyText = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map(n => String.fromCharCode(n)),
})

test('text keeps its length, has no NUL and no half pair, and is left alone where it was fine', () => {
  fc.assert(
    fc.property(anyText, text => {
      const stored = storableText(text)
      expect(stored).toHaveLength(text.length)
      expect(stored.includes('\0')).toBe(false)
      expect(stored.isWellFormed()).toBe(true)
      expect(storableText(stored)).toBe(stored)
    }),
  )
})

test('JSON is cleaned exactly as text is, in keys and values', () => {
  fc.assert(
    fc.property(anyText, anyText, (name, value) => {
      const parsed: unknown = JSON.parse(storableJson({ [`k${name}`]: [value] }))
      expect(parsed).toEqual({ [`k${storableText(name)}`]: [storableText(value)] })
    }),
  )
})

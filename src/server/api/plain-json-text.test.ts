import { expect, test } from 'bun:test'
import { isPlainJsonText, plainTextUnitsMax } from './plain-json-text.ts'

test('whatever is called plain is written by JSON as it is, and every plain ASCII character is', () => {
  for (let unit = 0; unit <= 0xffff; unit++) {
    const text = `a${String.fromCharCode(unit)}b`
    const isAsItIs = JSON.stringify(text) === `"${text}"`
    if (isPlainJsonText(text)) expect(isAsItIs).toBe(true)
    if (unit < 0x80) expect(isPlainJsonText(text)).toBe(isAsItIs)
  }
})

test('a text that is longer than it pays for is left to JSON', () => {
  expect(isPlainJsonText('')).toBe(true)
  expect(isPlainJsonText('x'.repeat(plainTextUnitsMax))).toBe(true)
  expect(isPlainJsonText('x'.repeat(plainTextUnitsMax + 1))).toBe(false)
})

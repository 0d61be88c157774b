import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { hanging, wrapText } from './wrap-text.ts'

test('every word is there once, in order, and only a word that is too long passes the edge', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 100 }), (text, width) => {
      const lines = wrapText(text, width)
      const words = text.split(/\s+/).filter(Boolean)
      expect(lines.join(' ')).toBe(words.join(' '))
      for (const line of lines) expect(line.length <= width || !/\s/.test(line)).toBe(true)
    }),
  )
})

test('the text hangs right of its label; a label that is too long has a line of its own', () => {
  expect(hanging('a', 'one two', 4, 8)).toBe('a   one\n    two')
  expect(hanging('label', 'one', 4, 8)).toBe('label\n    one')
})

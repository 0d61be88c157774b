import { expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  charactersExpression,
  complement,
  lineEnds,
  spaces,
  wordCharacters,
  type Range,
} from './character-set.ts'

const isIn = (ranges: readonly Range[], point: number) =>
  ranges.some(([from, to]) => point >= from && point <= to)
const range = fc
  .tuple(fc.nat(0x10ffff), fc.nat(200))
  .map(([from, more]): Range => [from, Math.min(from + more, 0x10ffff)])

test('the complement has what the set has not', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 5 }), fc.nat(0x10ffff), (ranges, point) => {
      for (const at of [point, ...ranges.flatMap(([from, to]) => [from, to, to + 1])])
        if (at <= 0x10ffff) expect(isIn(complement(ranges), at)).toBe(!isIn(ranges, at))
    }),
  )
})

test.each([
  ['\\s', spaces],
  ['\\w', wordCharacters],
  ['[\\n\\r\\u2028\\u2029]', lineEnds],
])('the class %s is ECMAScript’s', (text, ranges) => {
  const regExp = new RegExp(`^${text}$`, 'u')
  for (let point = 0; point <= 0xffff; point++)
    if (point < 0xd800 || point > 0xdfff)
      expect([point, isIn(ranges, point)]).toEqual([
        point,
        regExp.test(String.fromCodePoint(point)),
      ])
})

test('a character of a JSON string is written in one way, a control character without a short one in none', () => {
  const written = (text: string, slashEscaped = false) =>
    charactersExpression(
      Array.from(text, character => [character.codePointAt(0) ?? 0, character.codePointAt(0) ?? 0]),
      slashEscaped,
    )
  expect(written('a')).toBe('[\\U00000061]')
  expect(written('"\\\n')).toBe('"\\\\\\"" | "\\\\\\\\" | "\\\\n"')
  expect(written('/')).toBe('[\\U0000002f]')
  expect(written('/', true)).toBe('"\\\\/"')
  expect(written('\u0001')).toBeNull()
})

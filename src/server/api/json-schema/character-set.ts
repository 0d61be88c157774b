import { literal } from './grammar-rules.ts'

/** Code points from the first to the second, both included. */
export type Range = readonly [from: number, to: number]

const last = 0x10ffff
const surrogates: Range = [0xd800, 0xdfff]

export const one = (character: string): Range => {
  const point = character.codePointAt(0) ?? 0
  return [point, point]
}
const between = (from: string, to: string): Range => [one(from)[0], one(to)[0]]

/** What ECMAScript's classes hold with its flag `u`, as validators set it. */
export const digits: readonly Range[] = [between('0', '9')]
export const wordCharacters: readonly Range[] = [
  ...digits,
  between('A', 'Z'),
  one('_'),
  between('a', 'z'),
]
export const spaces: readonly Range[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]
/** What the dot leaves out. */
export const lineEnds: readonly Range[] = [one('\n'), one('\r'), [0x2028, 0x2029]]

/** All other characters. */
export function complement(ranges: readonly Range[]): readonly Range[] {
  const others: Range[] = []
  let next = 0
  for (const [from, to] of ranges.toSorted(([a], [b]) => a - b)) {
    if (from > next) others.push([next, from - 1])
    next = Math.max(next, to + 1)
  }
  return next > last ? others : [...others, [next, last]]
}

/** Characters that stand for themselves in a JSON string. */
const notPlain: readonly Range[] = [[0x00, 0x1f], one('"'), one('\\'), surrogates]
/** And those that are written in two. */
const escapes: readonly (readonly [character: string, written: string])[] = [
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]

/**
 * One character of a set as it is written in a JSON string; each in one way only, and control characters without a short
 * one in none.
 * @param slashEscaped `/` is written `\/`, so that no tag can end there
 * @returns a GBNF expression; null when nothing is left
 */
export function charactersExpression(
  ranges: readonly Range[],
  slashEscaped: boolean,
): string | null {
  const has = (character: string) => {
    const [point] = one(character)
    return ranges.some(([from, to]) => point >= from && point <= to)
  }
  const slash: readonly Range[] = slashEscaped ? [one('/')] : []
  const plain = complement([...complement(ranges), ...notPlain, ...slash])
  const parts = plain.length === 0 ? [] : [`[${plain.map(rangeText).join('')}]`]
  for (const [character, written] of escapes) if (has(character)) parts.push(literal(written))
  if (slashEscaped && has('/')) parts.push(literal('\\/'))
  return parts.length === 0 ? null : parts.join(' | ')
}

const rangeText = ([from, to]: Range): string =>
  from === to ? pointText(from) : `${pointText(from)}-${pointText(to)}`

const pointText = (point: number): string => `\\U${point.toString(16).padStart(8, '0')}`

import { integerMax, integerRange } from './integer-range.ts'

/** Bounds are within this of 0, with so many decimals: what is written up to them then has 15 digits, which are exact. */
export const numberBoundMax = 1_000_000
const boundDecimalsMax = 6
const decimalsMax = 9

export type NumberBound = { readonly value: number; readonly exclusive: boolean }

export const isNumberBound = (value: unknown): value is number =>
  typeof value === 'number' &&
  Math.abs(value) <= numberBoundMax &&
  Number(value.toFixed(boundDecimalsMax)) === value

/**
 * The decimals from `low` to `high`, without an exponent.
 * @param low null: from far below
 * @returns a GBNF expression; null when there is no such number
 */
export function numberRange(low: NumberBound | null, high: NumberBound | null): string | null {
  const parts: string[] = []
  const isBelowZero = ({ value, exclusive }: NumberBound) => value < 0 || (value === 0 && exclusive)
  if (low === null || low.value < 0) {
    const nearest = high !== null && isBelowZero(high) ? mirrored(high) : null
    parts.push(...magnitudes(nearest, low === null ? null : mirrored(low)).map(m => `"-" (${m})`))
  }
  if (high === null || !isBelowZero(high))
    parts.push(...magnitudes(low !== null && low.value >= 0 ? low : null, high))
  return parts.length === 0 ? null : parts.join(' | ')
}

const mirrored = ({ value, exclusive }: NumberBound): NumberBound => ({ value: -value, exclusive })

/** Digits behind the point that a bound begins with, without zeros at its end. */
type Digits = { readonly digits: string; readonly exclusive: boolean }

/** Numbers that are not negative: the bounds' own whole parts with some fractions, those between with any. */
function magnitudes(low: NumberBound | null, high: NumberBound | null): string[] {
  const from = low === null ? 0 : Math.floor(low.value)
  const to = high === null ? integerMax : Math.floor(high.value)
  if (from > to) return []
  const least = digitsOf(low)
  const most = digitsOf(high)
  if (from === to) return withFraction(`"${from}"`, least, most)
  const parts = withFraction(`"${from}"`, least, null)
  if (to - from > 1) parts.push(...withFraction(`(${integerRange(from + 1, to - 1)})`, null, null))
  return [...parts, ...withFraction(`"${to}"`, null, most)]
}

function digitsOf(bound: NumberBound | null): Digits | null {
  if (bound === null) return null
  const [, digits = ''] = bound.value.toFixed(boundDecimalsMax).split('.')
  return { digits: digits.replace(/0+$/, ''), exclusive: bound.exclusive }
}

function withFraction(whole: string, least: Digits | null, most: Digits | null): string[] {
  const fraction = fractions(least, most, decimalsMax)
  const parts = mayEnd(least, most) ? [whole] : []
  return fraction === null ? parts : [...parts, `${whole} [.] (${fraction})`]
}

/** Whether nothing more, which is zeros, is between the two. */
function mayEnd(least: Digits | null, most: Digits | null): boolean {
  const isEnough = least === null || (least.digits === '' && !least.exclusive)
  const isLittle = most === null || most.digits !== '' || !most.exclusive
  return isEnough && isLittle
}

/**
 * One digit or more, so that they are between the two: strictly between their first digits the rest is free.
 * @returns null when there are none
 */
function fractions(least: Digits | null, most: Digits | null, left: number): string | null {
  if (most?.digits === '') {
    // Only zeros are as small.
    return mayEnd(least, most) ? `"0"{1,${left}}` : null
  }
  if (least === null || (least.digits === '' && !least.exclusive)) {
    if (most === null) return `[0-9]{1,${left}}`
    return alternatives(-1, Number(most.digits[0]), left, null, null, rest(most))
  }
  if (least.digits === '' && most === null) return notZero(left)
  const first = Number(least.digits[0] ?? 0)
  const last = most === null ? 10 : Number(most.digits[0])
  if (first > last) return null
  if (first < last)
    return alternatives(first, last, left, rest(least), null, most === null ? null : rest(most))
  return digitAnd(first, left, rest(least), most === null ? null : rest(most))
}

/** As many digits as are left at most, not all of them 0. */
const notZero = (left: number): string =>
  left === 1 ? '[1-9]' : `[1-9] [0-9]{0,${left - 1}} | "0" (${notZero(left - 1)})`

const rest = ({ digits, exclusive }: Digits): Digits => ({ digits: digits.slice(1), exclusive })

/** @param first -1: there is no least digit; @param last 10: there is no greatest */
function alternatives(
  first: number,
  last: number,
  left: number,
  least: Digits | null,
  free: null,
  most: Digits | null,
): string | null {
  const parts: (string | null)[] = []
  if (first >= 0) parts.push(digitAnd(first, left, least, free))
  if (last - first > 1) parts.push(`[${first + 1}-${last - 1}] [0-9]{0,${left - 1}}`)
  if (last < 10) parts.push(digitAnd(last, left, free, most))
  const some = parts.filter(part => part !== null)
  return some.length === 0 ? null : some.join(' | ')
}

function digitAnd(
  digit: number,
  left: number,
  least: Digits | null,
  most: Digits | null,
): string | null {
  const more = fractions(least, most, left - 1)
  const ends = mayEnd(least, most)
  if (more === null) return ends ? `"${digit}"` : null
  return `"${digit}" (${more})${ends ? '?' : ''}`
}

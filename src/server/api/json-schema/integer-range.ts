/** Integers of up to 15 digits are exact in every JSON reader. */
export const integerMax = 999_999_999_999_999

/**
 * The integers from `min` to `max`, both included and at most `integerMax` away from 0.
 * @returns a GBNF expression
 */
export function integerRange(min: number, max: number): string {
  const parts: string[] = []
  if (min < 0) parts.push(`"-" (${magnitudes(Math.max(1, -max), -min).join(' | ')})`)
  if (max >= 0) parts.push(...magnitudes(Math.max(0, min), max))
  return parts.join(' | ')
}

/** From `low` to `high`, neither negative: one alternative or more for each number of digits. */
function magnitudes(low: number, high: number): string[] {
  const parts: string[] = []
  for (let digits = String(low).length; digits <= String(high).length; digits++) {
    const first = digits === 1 ? 0 : 10 ** (digits - 1)
    const from = String(Math.max(low, first))
    const to = String(Math.min(high, 10 ** digits - 1))
    parts.push(sameLength(from, to))
  }
  return parts
}

/** Digit by digit: below the first digit's upper bound and above its lower one the rest is free. */
function sameLength(from: string, to: string): string {
  if (from === '') return '""'
  const low = Number(from[0])
  const high = Number(to[0])
  const rest = from.length - 1
  if (rest === 0) return `[${low}-${high}]`
  const zeros = '0'.repeat(rest)
  const nines = '9'.repeat(rest)
  if (from.slice(1) === zeros && to.slice(1) === nines) return `[${low}-${high}] [0-9]{${rest}}`
  if (low === high) return `"${low}" (${sameLength(from.slice(1), to.slice(1))})`
  const parts = [`"${low}" (${sameLength(from.slice(1), nines)})`]
  if (high - low > 1) parts.push(`[${low + 1}-${high - 1}] [0-9]{${rest}}`)
  parts.push(`"${high}" (${sameLength(zeros, to.slice(1))})`)
  return parts.join(' | ')
}

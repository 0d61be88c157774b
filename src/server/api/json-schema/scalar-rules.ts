import type { JsonObject } from '../field-reader.ts'
import { integerMax, integerRange } from './integer-range.ts'
import { repetitionsMax } from './json-text.ts'
import { isNumberBound, numberBoundMax, numberRange, type NumberBound } from './number-range.ts'
import { patternExpression } from './pattern-rule.ts'
import { countOf, type RuleContext } from './rule-context.ts'

const year = '[1-2] [0-9]{3}'
/** Without centuries, which are none but for 2000. */
const leapYear = '([1-2] [0-9] ("0" [48] | [2468] [048] | [13579] [26]) | "2000")'
const to28 = '"0" [1-9] | "1" [0-9] | "2" [0-8]'
const date =
  `(${year} "-" (("0" [13578] | "1" [02]) "-" (${to28} | "29" | "3" [01]) | ` +
  `("0" [469] | "11") "-" (${to28} | "29" | "30") | "02-" (${to28})) | ${leapYear} "-02-29")`
const time = '([0-1] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})?'
const offset = '("Z" | [-+] ([0-1] [0-9] | "2" [0-3]) ":" [0-5] [0-9])'
const hex = '[0-9a-f]'

const formats: Readonly<Record<string, string>> = {
  date,
  time: `${time} ${offset}`,
  'date-time': `${date} "T" ${time} ${offset}`,
  uuid: `${hex}{8} "-" ${hex}{4} "-" ${hex}{4} "-" ${hex}{4} "-" ${hex}{12}`,
}

export function stringRule(schema: JsonObject, context: RuleContext): string {
  const { format, pattern } = schema
  const min = countOf(schema, 'minLength', repetitionsMax, context)
  const max = countOf(schema, 'maxLength', repetitionsMax, context)
  if (pattern !== undefined) {
    const isAlone = format === undefined && min === null && max === null
    if (typeof pattern !== 'string' || !isAlone) {
      context.fail("'pattern' must be a text, and is supported without a length or a format")
      return '""'
    }
    return context.rules.add(`"\\"" ${patternExpression(pattern, context)} "\\""`)
  }
  if (format === undefined) {
    if (max !== null && max < (min ?? 0)) context.fail("'minLength' is above 'maxLength'")
    return context.json.string(min ?? 0, max)
  }
  const body = typeof format === 'string' ? formats[format] : undefined
  if (body === undefined || min !== null || max !== null) {
    const known = Object.keys(formats).join(', ')
    context.fail(`'format' is supported for ${known}, without a length`)
    return '""'
  }
  return context.rules.add(`"\\"" ${body} "\\""`)
}

export function integerRule(schema: JsonObject, { rules, fail }: RuleContext): string {
  const bound = (keyword: string): number | null => {
    const value = schema[keyword]
    if (value === undefined) return null
    if (typeof value === 'number' && Math.abs(value) <= integerMax) return value
    fail(`'${keyword}' must be a number from ${-integerMax} to ${integerMax}`)
    return null
  }
  const above = bound('exclusiveMinimum')
  const below = bound('exclusiveMaximum')
  const min = Math.max(
    Math.ceil(bound('minimum') ?? -integerMax),
    above === null ? -integerMax : Math.floor(above) + 1,
  )
  const max = Math.min(
    Math.floor(bound('maximum') ?? integerMax),
    below === null ? integerMax : Math.ceil(below) - 1,
  )
  if (min <= max) return rules.add(integerRange(min, max))
  fail("no integer is from its 'minimum' to its 'maximum'")
  return '""'
}

export function numberRule(schema: JsonObject, { rules, json, fail }: RuleContext): string {
  const keywords = Object.keys(boundsOfNumbers).filter(keyword => schema[keyword] !== undefined)
  // These two have exponents as well.
  if (keywords.length === 0) return json.number(false)
  if (keywords.length === 1 && schema['minimum'] === 0) return json.number(true)
  let low: NumberBound | null = null
  let high: NumberBound | null = null
  for (const keyword of keywords) {
    const value = schema[keyword]
    const { isLow, exclusive } = boundsOfNumbers[keyword] ?? { isLow: true, exclusive: false }
    if (!isNumberBound(value)) {
      fail(
        `'${keyword}' must be a number from ${-numberBoundMax} to ${numberBoundMax} with at most 6 decimals`,
      )
      return '""'
    }
    const bound = { value, exclusive }
    if (isLow) low = low === null || isTighter(bound, low, value > low.value) ? bound : low
    else high = high === null || isTighter(bound, high, value < high.value) ? bound : high
  }
  const range = numberRange(low, high)
  if (range !== null) return rules.add(range)
  fail("no number is from its 'minimum' to its 'maximum'")
  return '""'
}

const boundsOfNumbers: Readonly<Record<string, { isLow: boolean; exclusive: boolean }>> = {
  minimum: { isLow: true, exclusive: false },
  exclusiveMinimum: { isLow: true, exclusive: true },
  maximum: { isLow: false, exclusive: false },
  exclusiveMaximum: { isLow: false, exclusive: true },
}

const isTighter = (bound: NumberBound, other: NumberBound, isNarrower: boolean): boolean =>
  isNarrower || (bound.value === other.value && bound.exclusive)

import type { GrammarRules } from './grammar-rules.ts'
import type { JsonText } from './json-text.ts'

/** Where in the schema we are. */
export type Place = {
  readonly path: string
  readonly depth: number
  /** The reference whose values begin here, to find recursion that consumes nothing; null behind a bracket. */
  readonly ref: string | null
}

/** What the rule of one type is written with. */
export type RuleContext = {
  readonly rules: GrammarRules
  readonly json: JsonText
  /** @returns the name of the rule for a schema within this one */
  readonly rule: (schema: unknown, place: Place) => string
  readonly fail: (message: string) => void
  readonly place: Place
}

/** A count of a schema. @returns null when it has none */
export function countOf(
  schema: Readonly<Record<string, unknown>>,
  keyword: string,
  max: number,
  { fail }: RuleContext,
): number | null {
  const value = schema[keyword]
  if (value === undefined) return null
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max)
    return value
  fail(`'${keyword}' must be a whole number from 0 to ${max}`)
  return null
}

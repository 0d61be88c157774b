import type { ErrorCode } from '../../protocol/errors.ts'
import type { ApiFailure } from '../http-error.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Reads fields of a parsed body and remembers the first thing that is wrong, in OpenAI's words and with OpenAI's
 * `param`. A reader goes on after a problem with a harmless value, so that checks read as a list and not as a ladder;
 * whoever uses it looks at `problem` before the result. Null counts as absent, as it does for OpenAI.
 */
export class FieldReader {
  #problem: ApiFailure | null = null

  get problem(): ApiFailure | null {
    return this.#problem
  }

  fail(param: string, message: string, code: ErrorCode = 'invalid_request'): void {
    this.#problem ??= { code, message, param }
  }

  wrongType(param: string, expected: string, got: unknown): void {
    this.fail(
      param,
      `Invalid type for '${param}': expected ${expected}, but got ${typeName(got)} instead.`,
    )
  }

  missing(param: string): void {
    this.fail(param, `Missing required parameter: '${param}'.`)
  }

  string(value: unknown, param: string): string | null {
    if (value === undefined || value === null) return null
    if (typeof value === 'string') return value
    this.wrongType(param, 'a string', value)
    return null
  }

  /** @returns '' when it is missing or wrong */
  requiredString(value: unknown, param: string, charactersMax: number): string {
    if (value === undefined) {
      this.missing(param)
      return ''
    }
    if (typeof value !== 'string') {
      this.wrongType(param, 'a string', value)
      return ''
    }
    if (value.length > charactersMax)
      this.fail(param, `Invalid '${param}': it is longer than ${charactersMax} characters.`)
    return value
  }

  boolean(value: unknown, param: string): boolean | null {
    if (value === undefined || value === null) return null
    if (typeof value === 'boolean') return value
    this.wrongType(param, 'a boolean', value)
    return null
  }

  number(value: unknown, param: string, min: number, max: number): number | null {
    if (value === undefined || value === null) return null
    if (typeof value !== 'number') {
      this.wrongType(param, 'a number', value)
      return null
    }
    if (value >= min && value <= max) return value
    const range = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`
    this.fail(param, `Invalid '${param}': expected a value ${range}.`)
    return null
  }

  integer(value: unknown, param: string, min: number, max: number): number | null {
    if (typeof value === 'number' && !Number.isInteger(value)) {
      this.wrongType(param, 'an integer', value)
      return null
    }
    return this.number(value, param, min, max)
  }

  object(value: unknown, param: string): JsonObject | null {
    if (value === undefined || value === null) return null
    if (isObject(value)) return value
    this.wrongType(param, 'an object', value)
    return null
  }

  array(value: unknown, param: string, itemsMax: number): readonly unknown[] | null {
    if (value === undefined || value === null) return null
    if (!Array.isArray(value)) {
      this.wrongType(param, 'an array', value)
      return null
    }
    if (value.length <= itemsMax) return value
    this.fail(param, `Invalid '${param}': at most ${itemsMax} items are allowed.`)
    return null
  }

  /** For bodies that are ours alone: a misspelt field must not be ignored silently. */
  onlyFields(body: JsonObject, known: readonly string[]): void {
    for (const name of Object.keys(body))
      if (!known.includes(name))
        this.fail(
          name,
          `Unknown parameter: '${name.slice(0, 64)}'. Known are: ${known.join(', ')}.`,
        )
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a decimal'
  return value === undefined ? 'nothing' : `a ${typeof value}`
}

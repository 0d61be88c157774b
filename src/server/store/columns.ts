import { customType } from 'drizzle-orm/pg-core'
import type { Instant } from '../../clock.ts'

const replacementCharacter = '\ufffd'

/**
 * PostgreSQL text cannot hold NUL and UTF-8 cannot hold half a surrogate pair. Such text comes only from broken or
 * hostile peers; it is stored with U+FFFD in those places instead of failing the statement that carries it.
 */
export const storableText = (text: string): string =>
  text.replaceAll('\0', replacementCharacter).toWellFormed()

/**
 * JSON that `jsonb` accepts, for the same reason. `JSON.stringify` writes whole surrogate pairs as they are, so every
 * `\ud…` escape in its output is a lone half; an escaped backslash is matched first so that it shields what follows.
 */
export const storableJson = (document: unknown): string =>
  JSON.stringify(document).replace(/\\(?:\\|u0000|ud[89a-f][0-9a-f]{2})/g, escape =>
    escape === '\\\\' ? escape : replacementCharacter,
  )

/** ISO 8601 in UTC, whole milliseconds: `systemClock` has finer fractions, the database does not keep them. */
export const instantToText = (instant: Instant): string =>
  new Date(Math.round(instant)).toISOString()

const timestamptzRegex = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,3})?)([+-]\d\d)(?::(\d\d))?$/

/** What PostgreSQL writes for a `timestamptz(3)` in ISO style, in whatever time zone the session has. */
export function textToInstant(text: string): Instant {
  const match = timestamptzRegex.exec(text)
  if (match === null) throw new Error(`not a timestamptz in ISO style: ${text}`)
  const [, date, time, offsetHours, offsetMinutes = '00'] = match
  return Date.parse(`${date}T${time}${offsetHours}:${offsetMinutes}`)
}

/** `timestamptz(3)` in the database, `Instant` here; the only place that knows both. */
export const instant = customType<{ data: Instant; driverData: string }>({
  dataType: () => 'timestamp (3) with time zone',
  toDriver: instantToText,
  fromDriver: textToInstant,
})

/** `bytea`; copied into a plain `Uint8Array`, since one driver answers a view of its receive buffer. */
export const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  fromDriver: value => new Uint8Array(value),
})

/** Text from outside; see `storableText`. The conversion holds for comparisons too, so a lookup never fails either. */
export const safeText = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  toDriver: storableText,
})

/** A name or hint with a hard length; see `storableText`. */
export const safeVarchar = customType<{
  data: string
  driverData: string
  config: { charactersMax: number }
  configRequired: true
}>({
  dataType: config => `varchar(${config.charactersMax})`,
  toDriver: storableText,
})

/** `jsonb` with a shape that only this program writes. */
export const document = <Shape extends object>(name: string) =>
  customType<{ data: Shape; driverData: string }>({
    dataType: () => 'jsonb',
    toDriver: storableJson,
    // Both drivers have parsed it already.
    fromDriver: value => value as unknown as Shape,
  })(name)

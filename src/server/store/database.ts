import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'

/** What both drivers have in common; everything but opening and closing is written against this. */
export type StoreDatabase = PgDatabase<PgQueryResultHKT>

/**
 * The SQLSTATE of a failed statement, however deep drizzle or a driver has wrapped it; also Node's error codes.
 * @returns undefined when the error carries no code
 */
export function errorCodeOf(error: unknown): string | undefined {
  let current = error
  while (current instanceof Error) {
    if ('code' in current && typeof current.code === 'string') return current.code
    current = current.cause
  }
  return undefined
}

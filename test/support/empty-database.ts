import { getTableName, is, sql } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import type { StoreDatabase } from '../../src/server/store/database.ts'
import * as schema from '../../src/server/store/schema.ts'

/** Every table of the schema, a new one included. */
const tables = Object.values(schema).filter(entry => is(entry, PgTable))

/** Removes every row that a test left; the schema stays. */
export async function emptyDatabase(db: StoreDatabase): Promise<void> {
  const names = tables.map(table => sql.identifier(getTableName(table)))
  await db.execute(sql`truncate ${sql.join(names, sql`, `)}`)
}

import type { StoreDatabase } from '../../src/server/store/database.ts'
import { createDrizzleStore } from '../../src/server/store/drizzle-store.ts'
import { migrate } from '../../src/server/store/migrate.ts'
import { createPgliteClient } from '../../src/server/store/pglite-client.ts'
import { drizzleOver } from '../../src/server/store/pglite-store.ts'
import type { Store } from '../../src/server/store/store.ts'

/** A store and the database under it, which `emptyDatabase` can clear between tests. */
export type TestStore = { readonly store: Store; readonly db: StoreDatabase }

/**
 * The real store on PGlite in memory. Starting it takes seconds: one per test file, opened in `beforeAll`, emptied in
 * `beforeEach` and closed in `afterAll` (an open one keeps the process alive).
 */
export async function openTestPglite(): Promise<TestStore> {
  const client = createPgliteClient()
  await client.open(null)
  const db = drizzleOver(client)
  await migrate(db)
  return { db, store: createDrizzleStore(db, client.close) }
}

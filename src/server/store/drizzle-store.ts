import { sql } from 'drizzle-orm'
import { agentMethods } from './agents.ts'
import type { StoreDatabase } from './database.ts'
import { eventMethods } from './events.ts'
import { keyMethods } from './keys.ts'
import { modelMethods } from './models.ts'
import { pruneMethod } from './prune.ts'
import { requestMethods } from './requests.ts'
import type { Store } from './store.ts'

/** The one implementation of `Store`, over either driver. `close` ends what lies under `db`; it is called once. */
export function createDrizzleStore(db: StoreDatabase, close: () => Promise<void>): Store {
  let closing: Promise<void> | undefined
  return {
    ...agentMethods(db),
    ...eventMethods(db),
    ...keyMethods(db),
    ...modelMethods(db),
    ...requestMethods(db),
    ...pruneMethod(db),
    async ping() {
      await db.execute(sql`select 1`)
    },
    close: () => (closing ??= close()),
  }
}

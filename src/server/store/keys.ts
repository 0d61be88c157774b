import { and, asc, eq, isNull } from 'drizzle-orm'
import type { StoreDatabase } from './database.ts'
import { apiKeys } from './schema.ts'
import type { Store } from './store.ts'

type KeyMethods = Pick<Store, 'createKey' | 'getKey' | 'listKeys' | 'revokeKey'>

/** Clients' API keys. */
export const keyMethods = (db: StoreDatabase): KeyMethods => ({
  async createKey(key) {
    await db.insert(apiKeys).values({ ...key, scopes: [...key.scopes] })
  },

  async getKey(id) {
    const [row] = await db.select().from(apiKeys).where(eq(apiKeys.id, id))
    return row
  },

  listKeys() {
    return db.select().from(apiKeys).orderBy(asc(apiKeys.createdAt), asc(apiKeys.id))
  },

  async revokeKey(id, now) {
    const revoked = await db
      .update(apiKeys)
      .set({ revokedAt: now })
      .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt)))
      .returning({ id: apiKeys.id })
    return revoked.length === 1
  },
})

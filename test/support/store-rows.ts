import { eq, sql } from 'drizzle-orm'
import type { AgentId } from '../../src/protocol/ids.ts'
import type { StoreDatabase } from '../../src/server/store/database.ts'
import { agents, joinTokens, requests, usage } from '../../src/server/store/schema.ts'
import type { Store } from '../../src/server/store/store.ts'
import { emptyDatabase } from './empty-database.ts'

/** What lies under a store, where a promise cannot be tried through the store alone. */
export type StoreRows = {
  empty(): Promise<void>
  removeAgent(id: AgentId): Promise<void>
  /** In every sum of usage. */
  setPromptTokens(tokens: bigint): Promise<void>
  jobIds(): Promise<readonly string[]>
  joinTokenIds(): Promise<readonly string[]>
}

/** A store whose promises are tried. */
export type ConformingStore = { readonly store: Store; readonly rows: StoreRows }

export const rowsOf = (db: StoreDatabase): StoreRows => ({
  empty: () => emptyDatabase(db),
  async removeAgent(id) {
    await db.delete(agents).where(eq(agents.agentId, id))
  },
  async setPromptTokens(tokens) {
    await db.update(usage).set({ promptTokens: sql`${tokens}::bigint` })
  },
  async jobIds() {
    return (await db.select().from(requests)).map(({ jobId }) => jobId)
  },
  async joinTokenIds() {
    return (await db.select().from(joinTokens)).map(({ id }) => id)
  },
})

import { lt } from 'drizzle-orm'
import type { StoreDatabase } from './database.ts'
import { pruneEvents } from './events.ts'
import { agentHistory, joinTokens, requests } from './schema.ts'
import type { Store } from './store.ts'

/** Deletes what is older than asked for; usage, agents, keys and models are kept for ever. */
export const pruneMethod = (db: StoreDatabase): Pick<Store, 'prune'> => ({
  async prune(before) {
    await db.delete(requests).where(lt(requests.endedAt, before.requestsEnded))
    await db.delete(agentHistory).where(lt(agentHistory.timestamp, before.history))
    await pruneEvents(db, before.events, before.eventsMax)
    await db.delete(joinTokens).where(lt(joinTokens.expiresAt, before.joinTokensExpired))
  },
})

import { eq, sql, type SQLWrapper } from 'drizzle-orm'
import type { StoreDatabase } from './database.ts'
import { apiKeys, requests, usage } from './schema.ts'
import type { Store } from './store.ts'

type RequestMethods = Pick<Store, 'settleRequest' | 'usage'>

/** The ledger of requests and the sums over it. */
export const requestMethods = (db: StoreDatabase): RequestMethods => ({
  settleRequest(request) {
    return db.transaction(async tx => {
      const settled = await tx
        .insert(requests)
        .values(request)
        .onConflictDoNothing({ target: requests.jobId })
        .returning({ jobId: requests.jobId })
      if (settled.length === 0) return
      const { keyId, model, promptTokens, completionTokens } = request
      await tx
        .insert(usage)
        .values({ keyId, model, requests: 1, promptTokens, completionTokens })
        .onConflictDoUpdate({
          target: [usage.keyId, usage.model],
          set: {
            requests: sql`${usage.requests} + excluded.requests`,
            promptTokens: sql`${usage.promptTokens} + excluded.prompt_tokens`,
            completionTokens: sql`${usage.completionTokens} + excluded.completion_tokens`,
          },
        })
    })
  },

  usage() {
    // A key that never had a row (the operator's own, from the environment) is shown by its id.
    const keyName = sql<string>`coalesce(${apiKeys.name}, ${usage.keyId})`
    const inBytes = (text: SQLWrapper) => sql`${text} collate "C"`
    return db
      .select({
        keyId: usage.keyId,
        keyName,
        model: usage.model,
        requests: usage.requests,
        promptTokens: usage.promptTokens,
        completionTokens: usage.completionTokens,
      })
      .from(usage)
      .leftJoin(apiKeys, eq(apiKeys.id, usage.keyId))
      .orderBy(inBytes(keyName), inBytes(usage.keyId), inBytes(usage.model))
  },
})

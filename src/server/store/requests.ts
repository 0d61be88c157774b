import { eq, sql, type SQLWrapper } from 'drizzle-orm'
import type { StoreDatabase } from './database.ts'
import { apiKeys, requests, usage } from './schema.ts'
import type { Store } from './store.ts'

type RequestMethods = Pick<Store, 'settleRequest' | 'usage'>
type Settled = Parameters<Store['settleRequest']>[0]

/** Requests of one transaction; the statement stays well below the protocol's 65,535 parameters. */
const requestsPerCommitMax = 500

/** The ledger of requests and the sums over it. */
export const requestMethods = (db: StoreDatabase): RequestMethods => ({
  settleRequest: groupCommit(requests => settle(db, requests)),

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

/**
 * One transaction for everything that has ended while the one before was written: hundreds of streams that end together
 * wait for two commits and not for hundreds. When a commit fails, each of its requests is tried alone, so that one that
 * cannot be stored does not take the others along.
 */
function groupCommit(
  commit: (requests: readonly Settled[]) => Promise<void>,
): (request: Settled) => Promise<void> {
  type Waiting = { readonly request: Settled; readonly done: PromiseWithResolvers<void> }
  let waiting: Waiting[] = []
  let committing = false
  const commitAll = async () => {
    committing = true
    while (waiting.length > 0) {
      const batch = waiting.slice(0, requestsPerCommitMax)
      waiting = waiting.slice(batch.length)
      await commit(batch.map(({ request }) => request)).then(
        () => batch.forEach(({ done }) => done.resolve()),
        () =>
          Promise.all(
            batch.map(({ request, done }) => commit([request]).then(done.resolve, done.reject)),
          ),
      )
    }
    committing = false
  }
  return request => {
    const done = Promise.withResolvers<void>()
    waiting.push({ request, done })
    if (!committing) void commitAll()
    return done.promise
  }
}

/** Stores the requests and adds them to usage, each once per job id however often it comes. */
function settle(db: StoreDatabase, batch: readonly Settled[]): Promise<void> {
  const byJob = new Map(batch.map(request => [request.jobId, request]))
  return db.transaction(async tx => {
    const stored = await tx
      .insert(requests)
      .values([...byJob.values()])
      .onConflictDoNothing({ target: requests.jobId })
      .returning({ jobId: requests.jobId })
    const added = usageOf(stored.flatMap(({ jobId }) => byJob.get(jobId) ?? []))
    if (added.length === 0) return
    await tx
      .insert(usage)
      .values(added)
      .onConflictDoUpdate({
        target: [usage.keyId, usage.model],
        set: {
          requests: sql`${usage.requests} + excluded.requests`,
          promptTokens: sql`${usage.promptTokens} + excluded.prompt_tokens`,
          completionTokens: sql`${usage.completionTokens} + excluded.completion_tokens`,
        },
      })
  })
}

/** One row for each key and model, in an order that all servers share, so that two of them cannot block each other. */
function usageOf(settled: readonly Settled[]): (typeof usage.$inferInsert)[] {
  const rows = new Map<string, typeof usage.$inferInsert>()
  for (const { keyId, model, promptTokens, completionTokens } of settled) {
    const name = JSON.stringify([keyId, model])
    const row = rows.get(name)
    rows.set(name, {
      keyId,
      model,
      requests: (row?.requests ?? 0) + 1,
      promptTokens: (row?.promptTokens ?? 0) + promptTokens,
      completionTokens: (row?.completionTokens ?? 0) + completionTokens,
    })
  }
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}

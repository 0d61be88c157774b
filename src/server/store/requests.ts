import { eq, sql, type SQLWrapper } from 'drizzle-orm'
import { instantToText, storableJson } from './columns.ts'
import type { StoreDatabase } from './database.ts'
import { apiKeys, usage } from './schema.ts'
import { elapsed } from '../timers.ts'
import { groupCommit } from './group-commit.ts'
import type { Store } from './store.ts'

type RequestMethods = Pick<Store, 'settleRequest' | 'usage'>
type Settled = Parameters<Store['settleRequest']>[0]

/**
 * From the beginning of a commit of several requests to the next one. A commit takes 0.25 ms of CPU time and each request
 * in it 0.02 ms more; the end of a stream that comes this much later is not seen by anybody.
 */
const commitSpacingMs = 10

/** The ledger of requests and the sums over it. */
export const requestMethods = (db: StoreDatabase): RequestMethods => ({
  settleRequest: groupCommit({
    commit: requests => settle(db, requests),
    pause: () => elapsed(commitSpacingMs),
  }),

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
 * Stores the requests and adds them to usage, each once per job id however often it comes. One statement, whose plan the
 * database keeps; the batch travels as a single JSON parameter.
 */
async function settle(db: StoreDatabase, batch: readonly Settled[]): Promise<void> {
  await db.execute(sql`select settle_requests(${storableJson(batch.map(toRow))}::jsonb)`)
}

/** By the names of the function's columns (drizzle/0004_settle_in_one_call.sql). */
const toRow = (request: Settled) => ({
  job_id: request.jobId,
  key_id: request.keyId,
  model: request.model,
  agent_id: request.agentId,
  outcome: request.outcome,
  finish_reason: request.finishReason,
  error_code: request.errorCode,
  prompt_tokens: request.promptTokens,
  completion_tokens: request.completionTokens,
  attempts: request.attempts,
  received_at: instantToText(request.receivedAt),
  first_token_at: request.firstTokenAt === null ? null : instantToText(request.firstTokenAt),
  ended_at: instantToText(request.endedAt),
})

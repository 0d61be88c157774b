import type { PgliteAnswer, PgliteFailure, PgliteRequest, PgliteResult } from './pglite-messages.ts'

/** A statement that PGlite refused or could not finish. */
export class PgliteError extends Error {
  /** SQLSTATE, when it was the database that refused. */
  readonly code: string | undefined

  constructor(failure: PgliteFailure) {
    super(failure.message)
    this.name = 'PgliteError'
    this.code = failure.code
  }
}

type Query = (
  sql: string,
  params?: readonly unknown[],
  options?: { readonly rowMode?: 'array' | 'object' },
) => Promise<PgliteResult>

/** One running transaction, as drizzle's PGlite driver expects it. */
export type PgliteTransaction = { readonly query: Query }

/** What drizzle's PGlite driver needs of a PGlite instance, and opening and closing. */
export type PgliteClient = PgliteTransaction & {
  /** @param dataDir null: in memory */
  readonly open: (dataDir: string | null) => Promise<void>
  /** Everything else waits until `work` has ended; a rejection rolls back. */
  readonly transaction: <Result>(
    work: (transaction: PgliteTransaction) => Promise<Result>,
  ) => Promise<Result>
  /** Waits for what was asked before; later calls reject. */
  readonly close: () => Promise<void>
  /** Ends the thread at once; for a database that did not start. */
  readonly abandon: () => void
}

type WithoutId<Request> = Request extends unknown ? Omit<Request, 'id'> : never

/** Requests and answers, matched by id. When the thread dies, everything open and everything later rejects. */
function createChannel(worker: Worker) {
  type Waiting = { resolve: (result: PgliteResult | null) => void; reject: (why: Error) => void }
  const waiting = new Map<number, Waiting>()
  let lastId = 0
  let gone: Error | undefined

  const end = (why: Error) => {
    gone ??= why
    for (const { reject } of waiting.values()) reject(why)
    waiting.clear()
  }

  worker.onmessage = (event: MessageEvent<PgliteAnswer>) => {
    const answer = event.data
    const asked = waiting.get(answer.id)
    waiting.delete(answer.id)
    if (answer.ok) asked?.resolve(answer.result)
    else asked?.reject(new PgliteError(answer.failure))
  }
  worker.onerror = event => end(new Error(`the database thread died: ${event.message}`))
  worker.addEventListener('close', () => end(new Error('the database thread has ended')))

  const ask = (request: WithoutId<PgliteRequest>): Promise<PgliteResult | null> => {
    if (gone !== undefined) return Promise.reject(gone)
    lastId += 1
    const id = lastId
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      worker.postMessage({ ...request, id } satisfies PgliteRequest)
    })
  }
  return { ask, end }
}

/**
 * PGlite in a thread of its own (500 inserts on the server's thread stalled it for up to 47 ms). PGlite brings a worker
 * of its own, but that one elects a leader among browser tabs through `navigator.locks`, which Bun does not have.
 */
export function createPgliteClient(): PgliteClient {
  const worker = new Worker(new URL('./pglite-worker.ts', import.meta.url).href)
  const { ask, end } = createChannel(worker)
  /** Ends when the newest transaction has ended. Statements outside of it wait, but not for each other. */
  let turn: Promise<void> = Promise.resolve()

  const ownTurn = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    const before = turn
    const { promise, resolve } = Promise.withResolvers<void>()
    turn = promise
    await before
    try {
      return await work()
    } finally {
      resolve()
    }
  }

  const queryNow: Query = async (sql, params = [], { rowMode = 'object' } = {}) => {
    const result = await ask({ kind: 'query', sql, params, rowMode })
    if (result === null) throw new Error('the database thread answered a query without a result')
    return result
  }

  const abandon = () => {
    end(new Error('the database is closed'))
    worker.terminate()
  }
  return {
    async open(dataDir) {
      await ask({ kind: 'open', dataDir })
    },
    async query(sql, params, options) {
      await turn
      return queryNow(sql, params, options)
    },
    transaction: work =>
      ownTurn(async () => {
        await queryNow('begin')
        try {
          const result = await work({ query: queryNow })
          const { command } = await queryNow('commit')
          // PostgreSQL answers a commit after a failed statement with a rollback, not with an error.
          if (command !== 'COMMIT') throw new Error('a statement of the transaction had failed')
          return result
        } catch (problem) {
          await queryNow('rollback')
          throw problem
        }
      }),
    async close() {
      await ownTurn(() => ask({ kind: 'close' }))
      abandon()
    },
    abandon,
  }
}

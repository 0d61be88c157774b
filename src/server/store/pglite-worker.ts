import { PGlite, types } from '@electric-sql/pglite'
import type { PgliteAnswer, PgliteFailure, PgliteRequest, PgliteResult } from './pglite-messages.ts'

/**
 * The thread that owns PGlite. It runs one statement after the other in the order of arrival; who may speak during a
 * transaction is the client's business (`pglite-client.ts`).
 */
declare const self: Worker

let database: PGlite | undefined

// Timestamps stay text: columns.ts alone turns them into instants.
const parsers = { [types.TIMESTAMPTZ]: (text: string) => text }

function opened(): PGlite {
  if (database === undefined) throw new Error('PGlite was asked before it was opened')
  return database
}

async function answerTo(request: PgliteRequest): Promise<PgliteResult | null> {
  switch (request.kind) {
    case 'open': {
      database = new PGlite(request.dataDir ?? 'memory://', { parsers })
      await database.waitReady
      return null
    }
    case 'query': {
      const { rows, fields, affectedRows, command } = await opened().query(
        request.sql,
        [...request.params],
        { rowMode: request.rowMode },
      )
      return { rows, fields, affectedRows, command }
    }
    case 'close': {
      await opened().close()
      return null
    }
  }
}

function toFailure(problem: unknown): PgliteFailure {
  if (!(problem instanceof Error)) return { message: String(problem), code: undefined }
  const code = 'code' in problem && typeof problem.code === 'string' ? problem.code : undefined
  return { message: problem.message, code }
}

async function serve(request: PgliteRequest): Promise<void> {
  const { id } = request
  let answer: PgliteAnswer
  try {
    answer = { id, ok: true, result: await answerTo(request) }
  } catch (problem) {
    answer = { id, ok: false, failure: toFailure(problem) }
  }
  self.postMessage(answer)
}

self.onmessage = (event: MessageEvent<PgliteRequest>) => void serve(event.data)

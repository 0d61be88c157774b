import type { Program } from '../program.ts'

/** What the server's log says of one request. */
export type RequestRecord = {
  readonly attempts: number
  readonly completionTokens: number
  readonly outcome: string
  /** Tokens accepted when each lost attempt ended, and why it did. */
  readonly lost: readonly { readonly tokens: number; readonly errorCode: string }[]
}

type Line = {
  readonly msg?: string
  readonly jobId?: string
  readonly attempts?: number
  readonly completionTokens?: number
  readonly outcome?: string
  readonly errorCode?: string
}

/** Collects the log's lines on requests. They are written before the client hears the end, but read a moment later. */
export class ServerRecords {
  readonly #lost = new Map<string, { tokens: number; errorCode: string }[]>()
  readonly #ended = new Map<string, PromiseWithResolvers<RequestRecord>>()

  constructor(server: Program) {
    server.watch(line => {
      if (line.startsWith('{') && line.includes('"jobId"')) this.#take(JSON.parse(line) as Line)
    })
  }

  of(jobId: string): Promise<RequestRecord> {
    return this.#end(jobId).promise
  }

  #take(line: Line): void {
    const { msg, jobId = '', completionTokens: tokens = -1, errorCode = '' } = line
    if (msg === 'attempt lost') {
      const lost = this.#lost.get(jobId) ?? []
      lost.push({ tokens, errorCode })
      this.#lost.set(jobId, lost)
    } else if (msg === 'request')
      this.#end(jobId).resolve({
        attempts: line.attempts ?? -1,
        completionTokens: tokens,
        outcome: line.outcome ?? '',
        lost: this.#lost.get(jobId) ?? [],
      })
  }

  #end(jobId: string): PromiseWithResolvers<RequestRecord> {
    const known = this.#ended.get(jobId) ?? Promise.withResolvers<RequestRecord>()
    this.#ended.set(jobId, known)
    return known
  }
}

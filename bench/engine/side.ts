import type { ChatMessage } from '../../src/protocol/chat-job.ts'

export type Question = {
  readonly messages: readonly ChatMessage[]
  readonly tokensMax: number
  /** Whether it may use what an earlier prompt left; else both sides compute every token, the chat template's too. */
  readonly shares: boolean
  /** Ends it early. */
  readonly signal?: AbortSignal
  /** Called at each piece of text. */
  readonly onPiece?: () => void
}

/** How one answer came. Times in milliseconds of `performance.now()`. */
export type TimedAnswer = {
  readonly askedAt: number
  /** When text came, the first piece first. */
  readonly pieceAt: readonly number[]
  readonly text: string
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly tokens: number
}

/** Batches so far. */
export type Batches = {
  readonly batches: number
  /** Streams in them, added up. */
  readonly streams: number
  /** Streams that would have been in them had nobody been missing; null: not told. */
  readonly streamsIfFull: number | null
}

/** One engine with the model in memory. */
export type Side = {
  readonly pid: number
  ask(question: Question): Promise<TimedAnswer>
  batches(): Promise<Batches>
}

export type SideName = 'gpupool' | 'llama-server'

export type SideModel = {
  readonly modelPath: string
  readonly contextTokens: number
  readonly slots: number
  readonly threads: number
}

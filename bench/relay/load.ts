/** Where a path begins: its address, and what it wants to hear from a client. */
export type Target = {
  readonly port: number
  readonly model: string
  /** API key; null: none is needed. */
  readonly key: string | null
}

/** What the load client is asked to do. */
export type LoadOrder = {
  readonly event: 'load'
  readonly target: Target
  /** Answers to ask for. */
  readonly streams: number
  readonly tokens: number
  /** 0: as fast as possible. */
  readonly intervalMs: number
  /** The streams start evenly spread over this time; null: one after the other. */
  readonly startWithinMs: number | null
}

/** What it saw. Times are in milliseconds, as the client measured them. */
export type LoadResult = {
  readonly ttftMs: readonly number[]
  /** Between two reads of one stream that brought tokens. */
  readonly gapMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** From a stream's last token to the end of its response: the commit of its usage, with us. */
  readonly endMs: { readonly p50: number; readonly p99: number }
  readonly tokens: number
  /** Streams that broke off or brought another number of tokens than asked for. */
  readonly failed: number
  readonly firstProblem: string | null
  readonly wallMs: number
}

/** Said while it runs: every stream has its first token; the first stream has ended. */
export type LoadMoment = { readonly tokens: number }

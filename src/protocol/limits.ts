/**
 * Every interval and bound that server and agent must agree on. Units are the last word of each name.
 * Sources: specification 1.5, 5.2, 5.5; design section 5.
 */
export const limits = {
  /** The agent sends a heartbeat this often (specification 1.5). */
  heartbeatIntervalMs: 30_000,
  /** A heartbeat later than this counts as missed. */
  heartbeatGraceMs: 5_000,
  /** Missed heartbeats until an agent is degraded, and until it is offline (specification 5.2). */
  heartbeatsMissedDegraded: 1,
  heartbeatsMissedOffline: 3,
  /** WebSocket ping and the time a pong may take; a late pong stops new work for the agent at once. */
  pingIntervalMs: 5_000,
  pongTimeoutMs: 5_000,
  /** The same for an agent that is asked because a stream of it has stalled. */
  probeTimeoutMs: 2_000,
  /** From open socket to accepted hello. */
  handshakeTimeoutMs: 10_000,
  /** Reconnect 1, 2, 4 … 60 s, each ±30 % (specification 5.5). */
  reconnectDelayMinMs: 1_000,
  reconnectDelayMaxMs: 60_000,
  reconnectJitterRatio: 0.3,
  /** An agent whose protocol the server no longer speaks asks again this often. */
  upgradeRetryMs: 3_600_000,
  /** First token: a fixed share plus one per prompt token (slow CPU prefill), model load not included. */
  firstByteBudgetMs: 30_000,
  firstBytePerPromptTokenMs: 20,
  /**
   * A stream has stalled after so many of its own median gaps between tokens, but never before `stallMinMs`; before there
   * is a median, after `stallUnknownPaceMs`. Another agent then races it, and is asked for this often until one is free.
   */
  stallGapsRatio: 8,
  stallMinMs: 500,
  stallUnknownPaceMs: 5_000,
  stallAskIntervalMs: 500,
  /** Memory that must stay free beside what a model needs (specification 1.2: model minimum + 512 MB). */
  memoryHeadroomMb: 512,
  /** Loading a model, download not included. */
  loadTimeoutMs: 600_000,
  /** Largest JSON control message; a prompt of 128k tokens with tools fits. */
  controlMessageBytesMax: 8 * 1024 * 1024,
  /** Largest token frame: one token's text, with room for held-back text that is released at once. */
  tokenFrameBytesMax: 256 * 1024,
  /** Several token frames in one message; an agent sends what it holds before it comes to that. */
  tokenFramesBytesMax: 1024 * 1024,
  /** Output the server may queue towards one agent before it is cut off. */
  agentBackpressureBytesMax: 32 * 1024 * 1024,
  /** Bounds of one chat request. */
  messagesPerRequestMax: 2_048,
  toolsPerRequestMax: 128,
  stopStringsMax: 4,
  stopStringBytesMax: 256,
  outputTokensMax: 1_048_576,
  logitBiasesMax: 1_024,
  topLogprobsMax: 20,
  grammarBytesMax: 256 * 1024,
  /** Bounds of one request for vectors: texts (or documents), tokens of a text that comes as tokens, vectors together. */
  inputsPerRequestMax: 2_048,
  inputTokensMax: 262_144,
  vectorBytesPerRequestMax: 32 * 1024 * 1024,
  /** Values of one vector; the largest models have 8192. */
  embeddingDimensionsMax: 16_384,
  /** What an agent may report. */
  gpusPerAgentMax: 64,
  instancesPerAgentMax: 64,
  slotsPerInstanceMax: 256,
  /** What an agent is told of the catalogue. A shape has up to some hundred KB (a line for each tensor). */
  catalogueModelsMax: 1_000,
  catalogueAnswerBytesMax: 64 * 1024 * 1024,
  externalModelsPerAgentMax: 256,
  /** Text an agent may put into an error or a name. */
  errorTextBytesMax: 2_000,
  /** Random bytes of a challenge. */
  nonceBytes: 32,
} as const

/** Relations between the numbers above, checked when the program starts: a wrong edit must not survive its first run. */
function assertRelations(): void {
  const check = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`protocol limits contradict each other: ${what}`)
  }
  check(limits.heartbeatGraceMs < limits.heartbeatIntervalMs, 'grace must be below the interval')
  check(
    limits.heartbeatsMissedDegraded < limits.heartbeatsMissedOffline,
    'degraded comes before offline',
  )
  check(
    limits.pingIntervalMs + limits.pongTimeoutMs < limits.heartbeatIntervalMs,
    'a ping must notice a silent loss before a heartbeat does',
  )
  check(
    limits.stallMinMs < limits.stallUnknownPaceMs &&
      limits.stallUnknownPaceMs < limits.firstByteBudgetMs,
    'a stall is noticed before the stream is given up',
  )
  check(limits.reconnectDelayMinMs < limits.reconnectDelayMaxMs, 'backoff must grow')
  check(
    limits.tokenFrameBytesMax < limits.tokenFramesBytesMax &&
      limits.tokenFramesBytesMax < limits.controlMessageBytesMax,
    'one payload limit must cover a frame, several frames and a message',
  )
  check(
    2 * 4 * limits.embeddingDimensionsMax <= limits.tokenFrameBytesMax,
    'a vector of 4-byte values and its header must fit a frame',
  )
  check(
    4 * limits.embeddingDimensionsMax <= limits.vectorBytesPerRequestMax,
    'a request must be able to have at least one vector',
  )
}
assertRelations()

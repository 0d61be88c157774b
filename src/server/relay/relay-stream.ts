import type { Instant } from '../../clock.ts'
import type { ChatJob, Continuation, FinishReason } from '../../protocol/chat-job.ts'
import { errorMeanings, isWorkerEnd, type Failure } from '../../protocol/errors.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { Segment, TokenFrame } from '../../protocol/token-frame.ts'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import type { VectorFrame } from '../../protocol/vector-frame.ts'
import type { TokenUsage } from '../inference.ts'

/** Agents that one request may be given to, the first one included. */
export const attemptsMax = 4
/** A request that killed this many workers is not tried on a further one: it may be poison. */
export const workerDeathsMax = 2

/** What a continuation still owes before it goes on, and what was held back at the end; twice that is a flood. */
const textFramesPerAttemptMax = 4

export type RelayEvent =
  /** The scheduler has found an agent. `ready`: the model is in memory there, so it can begin at once. */
  | {
      readonly type: 'leased'
      /** Tokens that a slot holds, prompt and answer together; an agent that counts more is wrong. */
      readonly contextTokens: number
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      readonly ready: boolean
    }
  /** The leased instance is still being fetched or loaded, and gets on. */
  | { readonly type: 'loading' }
  /** The scheduler has found none. */
  | { readonly type: 'refused'; readonly error: Failure }
  | {
      readonly type: 'started'
      readonly attempt: number
      readonly promptTokens: number | null
      readonly promptSha256: string | null
      readonly cachedTokens?: number
    }
  | TokenFrame
  | VectorFrame
  | {
      readonly type: 'finished'
      readonly attempt: number
      readonly reason: FinishReason
      readonly tokens: number
    }
  | { readonly type: 'failed'; readonly attempt: number; readonly error: Failure }
  /** The agent's connection is gone, or the agent looks dead. */
  | { readonly type: 'agent_lost' }
  | { readonly type: 'client_gone' }
  | { readonly type: 'tick' }

export type RelayCommand =
  | {
      readonly type: 'assign'
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      readonly attempt: number
      readonly continuation: Continuation | null
    }
  | { readonly type: 'cancel'; readonly agentId: AgentId; readonly attempt: number }
  | {
      readonly type: 'deliver'
      readonly segments: readonly Segment[]
      readonly logprob?: DrawnLogprob
    }
  /** Ask the scheduler for an agent again; the error is what the former one did. */
  | { readonly type: 'retry'; readonly error: Failure; readonly agentId: AgentId }
  /** The end; the scheduler's lease is to be released, usage to be committed, then the client told. */
  | { readonly type: 'finish'; readonly reason: FinishReason; readonly usage: TokenUsage }
  | {
      readonly type: 'fail'
      readonly error: Failure
      readonly usage: TokenUsage
      /** The agent whose attempt ended like that; null: no agent was at work. */
      readonly agentId: AgentId | null
    }
  /** The client is gone: release and settle, tell nobody. */
  | { readonly type: 'abandon'; readonly usage: TokenUsage }

type State =
  | { readonly name: 'placing' }
  | {
      readonly name: 'running'
      readonly agentId: AgentId
      readonly contextTokens: number
      readonly started: boolean
    }
  | { readonly name: 'ended' }

/** For the request's record. */
export type RelayRecord = {
  /** Attempts made. */
  readonly attempts: number
  /** Tokens accepted so far, whoever made them. */
  readonly tokens: number
  readonly firstTokenAt: Instant | null
  /** Who served it last. */
  readonly agentId: AgentId | null
}

/** What the model's engines tell of their tokens. `unknown`: text alone, so an answer cannot be continued elsewhere. */
export type TokenIds = 'known' | 'unknown'

/**
 * One request on its way through the pool: which attempt counts, which tokens are accepted, what the client has got.
 * Pure: `handle(event, now)` returns commands; the dispatcher owns sockets and timers. Invariants: tokens are accepted
 * in order without gap or repetition, whatever agents send; frames of an attempt that no longer counts are dropped;
 * exactly one of finish, fail, abandon is ever returned. When an attempt fails, the next one continues from the
 * accepted tokens, so a client sees a pause and never a repeated or missing token. Without token ids the first accepted
 * token is the point of no return: a failure behind it ends the stream.
 */
export class RelayStream {
  readonly #chat: ChatJob
  readonly #idsAre: TokenIds
  readonly #promptCounts: boolean
  #state: State
  #attempt = -1
  #promptTokens = 0
  #cachedTokens: number | undefined
  #promptSha256: string | null = null
  /** Ids of the accepted tokens: index i is token i of the answer. */
  readonly #tokenIds: number[] = []
  /** Accepted tokens, those without an id included. */
  #tokens = 0
  #deliveredBytes = 0
  #workerDeaths = 0
  #lastError: Failure | null = null
  #firstTokenAt: Instant | null = null
  #agentId: AgentId | null = null
  /** When the running attempt is given up unless it gets on; a field of its own, since every token moves it. */
  #deadlineAt: Instant = 0
  /** Text-only frames of the running attempt. */
  #textFrames = 0

  /** @param promptCounts whether the prompt is part of the usage; a further answer's is not */
  constructor(chat: ChatJob, idsAre: TokenIds = 'known', promptCounts = true) {
    this.#chat = chat
    this.#idsAre = idsAre
    this.#promptCounts = promptCounts
    this.#state = { name: 'placing' }
  }

  get ended(): boolean {
    return this.#state.name === 'ended'
  }

  get record(): RelayRecord {
    return {
      attempts: this.#attempt + 1,
      tokens: this.#tokens,
      firstTokenAt: this.#firstTokenAt,
      agentId: this.#agentId,
    }
  }

  handle(event: RelayEvent, now: Instant): readonly RelayCommand[] {
    if (this.#state.name === 'ended') return nothing
    switch (event.type) {
      case 'token':
        return this.#token(event, now)
      case 'vector':
        return event.attempt === this.#attempt ? this.#breach('a vector for a chat') : nothing
      case 'leased':
        return this.#leased(event, now)
      case 'loading':
        return this.#loading(now)
      case 'refused':
        // After a failed attempt, what went wrong there tells the client more than "nobody else is left".
        return this.#fail(this.#lastError ?? event.error, null)
      case 'started':
        return this.#started(event, now)
      case 'finished':
        return this.#finished(event)
      case 'failed':
        return event.attempt === this.#attempt ? this.#attemptFailed(event.error) : nothing
      case 'agent_lost':
        return [...this.#cancel(), ...this.#attemptFailed(lost)]
      case 'client_gone':
        return this.#clientGone()
      case 'tick':
        return this.#tick(now)
    }
  }

  #leased(
    { agentId, instanceId, ready, contextTokens }: Extract<RelayEvent, { type: 'leased' }>,
    now: Instant,
  ): readonly RelayCommand[] {
    const attempt = ++this.#attempt
    this.#agentId = agentId
    this.#textFrames = 0
    this.#deadlineAt = now + (ready ? limits.firstByteBudgetMs : limits.loadTimeoutMs)
    this.#state = { name: 'running', agentId, contextTokens, started: false }
    return [{ type: 'assign', agentId, instanceId, attempt, continuation: this.#continuation() }]
  }

  #loading(now: Instant): readonly RelayCommand[] {
    if (this.#state.name === 'running' && !this.#state.started)
      this.#deadlineAt = now + limits.loadTimeoutMs
    return nothing
  }

  #continuation(): Continuation | null {
    if (this.#promptSha256 === null || this.#tokenIds.length === 0) return null
    return {
      tokenIds: this.#tokenIds.slice(),
      deliveredBytes: this.#deliveredBytes,
      promptSha256: this.#promptSha256,
    }
  }

  #started(event: Extract<RelayEvent, { type: 'started' }>, now: Instant): readonly RelayCommand[] {
    if (this.#state.name !== 'running' || event.attempt !== this.#attempt) return nothing
    if (this.#idsAre === 'unknown') return this.#startedWithoutIds(event, now)
    const { promptTokens, promptSha256 } = event
    if (promptTokens === null || promptSha256 === null)
      return this.#breach('a start without its prompt')
    if (this.#tokens > 0 && promptSha256 !== this.#promptSha256)
      return this.#breach('another prompt than the first agent')
    if (promptTokens > this.#state.contextTokens)
      return this.#breach('a longer prompt than its context holds')
    this.#promptSha256 = promptSha256
    // The first attempt's: what a second one finds after a loss says nothing about the request.
    if (this.#tokens === 0 && event.cachedTokens !== undefined)
      this.#cachedTokens = Math.min(event.cachedTokens, promptTokens)
    this.#begin(promptTokens, now)
    return nothing
  }

  /** Comes first without and then, if the engine tells, with the number of its prompt's tokens. */
  #startedWithoutIds(
    { promptTokens }: Extract<RelayEvent, { type: 'started' }>,
    now: Instant,
  ): readonly RelayCommand[] {
    if (this.#state.name !== 'running') return nothing
    // The engine's word is all there is, but a prompt has no more tokens than its context holds or its text has bytes.
    const possible = Math.min(this.#state.contextTokens, promptTokensPossible(this.#chat))
    const isFirst = !this.#state.started
    if (promptTokens !== null) this.#promptTokens = Math.min(promptTokens, possible)
    if (isFirst) this.#begin(promptTokens ?? Math.ceil(possible / bytesPerTokenUsual), now)
    return nothing
  }

  /** @param promptTokens how much prefill is ahead */
  #begin(promptTokens: number, now: Instant): void {
    if (this.#state.name !== 'running') return
    if (this.#idsAre === 'known') this.#promptTokens = promptTokens
    this.#deadlineAt =
      now + limits.firstByteBudgetMs + limits.firstBytePerPromptTokenMs * promptTokens
    this.#state = { ...this.#state, started: true }
  }

  #token(frame: TokenFrame, now: Instant): readonly RelayCommand[] {
    if (this.#state.name !== 'running' || frame.attempt !== this.#attempt) return nothing
    if (!this.#state.started) return this.#breach('tokens before the start')
    if (frame.tokenId === null) {
      if (frame.index !== this.#tokens) return this.#breach('a gap in its tokens')
      if (++this.#textFrames > textFramesPerAttemptMax) return this.#breach('text without tokens')
    } else {
      if (frame.index < this.#tokens) return nothing
      if (frame.index > this.#tokens) return this.#breach('a gap in its tokens')
      if (frame.index >= (this.#chat.maxTokens ?? limits.outputTokensMax))
        return this.#breach('more tokens than asked for')
      if ((frame.tokenId === 'unknown') !== (this.#idsAre === 'unknown'))
        return this.#breach('tokens of another kind than its model has')
      if ((frame.logprob?.top.length ?? 0) > (this.#chat.topLogprobs ?? limits.topLogprobsMax))
        return this.#breach('more log probabilities than asked for')
      if (frame.tokenId !== 'unknown') this.#tokenIds.push(frame.tokenId)
      this.#tokens++
    }
    this.#firstTokenAt ??= now
    this.#deadlineAt = now + limits.firstByteBudgetMs
    const { segments, logprob } = frame
    for (const segment of segments) this.#deliveredBytes += Buffer.byteLength(segment.text)
    // They go with an accepted token, so a second attempt neither repeats nor misses one.
    if (logprob !== undefined && frame.tokenId !== null && this.#chat.topLogprobs !== undefined)
      return [{ type: 'deliver', segments, logprob }]
    return segments.length === 0 ? nothing : [{ type: 'deliver', segments }]
  }

  #finished(event: Extract<RelayEvent, { type: 'finished' }>): readonly RelayCommand[] {
    if (this.#state.name !== 'running' || event.attempt !== this.#attempt) return nothing
    if (!this.#state.started) return this.#breach('an end before the start')
    if (event.tokens !== this.#tokens) return this.#breach('fewer tokens than it says')
    this.#state = { name: 'ended' }
    return [{ type: 'finish', reason: event.reason, usage: this.#usage() }]
  }

  #attemptFailed(error: Failure): readonly RelayCommand[] {
    if (this.#state.name !== 'running') return nothing
    this.#lastError = error
    if (isWorkerEnd(error.code)) this.#workerDeaths++
    const hopeless =
      this.#isPastReturn ||
      !errorMeanings[error.code].retryElsewhere ||
      this.#attempt + 1 >= attemptsMax ||
      this.#workerDeaths >= workerDeathsMax
    const { agentId } = this.#state
    if (hopeless) return this.#fail(error, agentId)
    this.#state = { name: 'placing' }
    return [{ type: 'retry', error, agentId }]
  }

  /** The client has something of an answer that nobody else can go on with. */
  get #isPastReturn(): boolean {
    return this.#idsAre === 'unknown' && (this.#tokens > 0 || this.#deliveredBytes > 0)
  }

  /** The agent broke the protocol: it is told to stop, and another one goes on from what was accepted before. */
  #breach(what: string): readonly RelayCommand[] {
    const cancel = this.#cancel()
    const error: Failure = { code: 'agent_faulty', message: `the agent sent ${what}` }
    return [...cancel, ...this.#attemptFailed(error)]
  }

  #clientGone(): readonly RelayCommand[] {
    const cancel = this.#cancel()
    this.#state = { name: 'ended' }
    return [...cancel, { type: 'abandon', usage: this.#usage() }]
  }

  #cancel(): readonly RelayCommand[] {
    if (this.#state.name !== 'running') return nothing
    return [{ type: 'cancel', agentId: this.#state.agentId, attempt: this.#attempt }]
  }

  #tick(now: Instant): readonly RelayCommand[] {
    if (this.#state.name !== 'running' || now < this.#deadlineAt) return nothing
    const error: Failure = {
      code: 'timeout',
      message: this.#state.started
        ? 'the agent stopped sending tokens'
        : 'the agent did not begin in time',
    }
    return [...this.#cancel(), ...this.#attemptFailed(error)]
  }

  #fail(error: Failure, agentId: AgentId | null): readonly RelayCommand[] {
    this.#state = { name: 'ended' }
    return [{ type: 'fail', error, usage: this.#usage(), agentId }]
  }

  /** Highest contiguous accepted index + 1: the server's count, never an agent's word. */
  #usage(): TokenUsage {
    if (!this.#promptCounts) return { promptTokens: 0, completionTokens: this.#tokens }
    return {
      promptTokens: this.#promptTokens,
      completionTokens: this.#tokens,
      ...(this.#cachedTokens !== undefined && { cachedTokens: this.#cachedTokens }),
    }
  }
}

/** Of text in most languages; only for how long a prefill may take. */
const bytesPerTokenUsual = 4
/** What a chat template may add beside the texts, in tokens: to all, and to each message. */
const templateTokensMax = { chat: 1_024, message: 64 } as const

/** No tokeniser makes more than one token of one byte. */
const promptTokensPossible = ({ messages, tools }: ChatJob): number =>
  Buffer.byteLength(JSON.stringify([messages, tools])) +
  templateTokensMax.chat +
  templateTokensMax.message * messages.length

const nothing: readonly RelayCommand[] = Object.freeze([])
const lost: Failure = { code: 'agent_lost', message: 'the agent that was answering has gone away' }

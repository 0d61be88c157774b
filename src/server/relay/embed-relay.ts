import type { Instant } from '../../clock.ts'
import { scoreDimensions, vectorsOf, type EmbedJob } from '../../protocol/embed-job.ts'
import { errorMeanings, isWorkerEnd, type Failure } from '../../protocol/errors.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import { valueBytes, type VectorFrame } from '../../protocol/vector-frame.ts'
import type { TokenUsage } from '../inference.ts'
import type { RelayCommand } from './relay-command.ts'
import type { RelayEvent } from './relay-event.ts'
import { attemptsMax, workerDeathsMax, type RelayRecord } from './relay-stream.ts'

type State =
  | { readonly name: 'placing' }
  | {
      readonly name: 'running'
      readonly agentId: AgentId
      readonly instanceId: InstanceId
      readonly contextTokens: number
    }
  | { readonly name: 'ended' }

/**
 * One request for vectors on its way through the pool. Pure: `handle(event, now)` returns commands; the dispatcher owns
 * sockets and timers. Invariants: vectors are accepted in order without gap, whatever agents send; all are of one length
 * and finite; exactly one of finish, fail, abandon is ever returned. Nothing is delivered before the end, so an attempt
 * that fails leaves nothing behind: the next agent does the whole job again, and usage counts one attempt.
 */
export class EmbedRelay {
  readonly #job: EmbedJob
  readonly #dimensions: number | null
  #state: State = { name: 'placing' }
  #attempt = -1
  #vectors: Float32Array[] = []
  #promptTokens = 0
  #workerDeaths = 0
  #lastError: Failure | null = null
  #firstVectorAt: Instant | null = null
  #agentId: AgentId | null = null
  /** When the running attempt is given up unless it gets on. */
  #deadlineAt: Instant = 0

  /** @param dimensions of the model's vectors; null: not known, but all are as long as the first */
  constructor(job: EmbedJob, dimensions: number | null) {
    this.#job = job
    this.#dimensions = dimensions
  }

  get ended(): boolean {
    return this.#state.name === 'ended'
  }

  /** What was accepted of the last attempt; all of them once it has finished. */
  get vectors(): readonly Float32Array[] {
    return this.#vectors
  }

  get record(): RelayRecord {
    return {
      attempts: this.#attempt + 1,
      // An answer's tokens; vectors are made anew by the next agent.
      tokens: 0,
      firstTokenAt: this.#firstVectorAt,
      agentId: this.#agentId,
    }
  }

  /** Before this a tick changes nothing. */
  get dueAt(): Instant {
    return this.#state.name === 'running' ? this.#deadlineAt : Infinity
  }

  /** Whether this attempt counts and is the agent's. */
  isFrom(agentId: AgentId, attempt: number): boolean {
    return (
      attempt === this.#attempt && this.#state.name === 'running' && this.#state.agentId === agentId
    )
  }

  /** @returns the attempt that runs there; null: none does */
  attemptOn(agentId: AgentId, instanceId?: InstanceId): number | null {
    const state = this.#state
    if (state.name !== 'running' || state.agentId !== agentId) return null
    return (instanceId ?? state.instanceId) === state.instanceId ? this.#attempt : null
  }

  /** One input after the other is computed like a prompt, from the first to the last. */
  isBeginningOn(agentId: AgentId): boolean {
    return this.attemptOn(agentId) !== null
  }

  handle(event: RelayEvent, now: Instant): readonly RelayCommand[] {
    if (this.#state.name === 'ended') return nothing
    switch (event.type) {
      case 'vector':
        return this.#vector(event, now)
      case 'leased':
        return this.#leased(event, now)
      case 'loading':
        if (event.attempt === this.#attempt && this.#vectors.length === 0)
          this.#deadlineAt = now + limits.loadTimeoutMs
        return nothing
      case 'refused':
        // After a failed attempt, what went wrong there tells the client more than "nobody else is left".
        return this.#fail(this.#lastError ?? event.error, null)
      case 'token':
      case 'started':
        return event.attempt === this.#attempt
          ? this.#breach('text for a job for vectors')
          : nothing
      case 'finished':
        return event.attempt === this.#attempt ? this.#finished() : nothing
      case 'failed':
        return event.attempt === this.#attempt ? this.#attemptFailed(event.error) : nothing
      case 'agent_lost':
        if (event.attempt !== this.#attempt) return nothing
        return [...this.#cancel(), ...this.#attemptFailed(lost)]
      case 'agent_silent':
      case 'standby':
        return nothing
      case 'client_gone': {
        const cancel = this.#cancel()
        this.#state = { name: 'ended' }
        return [...cancel, { type: 'abandon', usage: this.#usage() }]
      }
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
    this.#vectors = []
    this.#promptTokens = 0
    this.#deadlineAt = now + (ready ? inputBudgetMs(contextTokens) : limits.loadTimeoutMs)
    this.#state = { name: 'running', agentId, instanceId, contextTokens }
    return [{ type: 'assign', agentId, instanceId, attempt, continuation: null }]
  }

  #vector(
    { attempt, index, promptTokens, values }: VectorFrame,
    now: Instant,
  ): readonly RelayCommand[] {
    if (this.#state.name !== 'running' || attempt !== this.#attempt) return nothing
    const { contextTokens } = this.#state
    const tokensMax = Math.min(contextTokens, limits.inputTokensMax)
    if (index !== this.#vectors.length) return this.#breach('a gap in its vectors')
    if (index >= vectorsOf(this.#job)) return this.#breach('more vectors than inputs')
    if (promptTokens > tokensMax) return this.#breach('a longer input than its context holds')
    const wrong = this.#wrongWith(values)
    if (wrong !== null) return this.#breach(wrong)
    this.#vectors.push(values)
    this.#promptTokens += promptTokens
    this.#firstVectorAt ??= now
    this.#deadlineAt = now + inputBudgetMs(contextTokens)
    return nothing
  }

  #wrongWith(values: Float32Array): string | null {
    const dimensions = this.#dimensions ?? this.#vectors[0]?.length ?? values.length
    if (values.length === 0) return 'an empty vector'
    if (values.length !== dimensions) return 'a vector of another length than the model has'
    if (this.#job.kind === 'rerank' && values.length !== scoreDimensions)
      return 'more than one score for a document'
    if (dimensions * valueBytes * vectorsOf(this.#job) > limits.vectorBytesPerRequestMax)
      return 'larger vectors than the model has'
    return values.every(Number.isFinite) ? null : 'a vector that is not finite'
  }

  #finished(): readonly RelayCommand[] {
    if (this.#state.name !== 'running') return nothing
    if (this.#vectors.length !== vectorsOf(this.#job))
      return this.#breach('fewer vectors than inputs')
    this.#state = { name: 'ended' }
    return [{ type: 'finish', reason: 'stop', usage: this.#usage() }]
  }

  #attemptFailed(error: Failure): readonly RelayCommand[] {
    if (this.#state.name !== 'running') return nothing
    this.#lastError = error
    if (isWorkerEnd(error.code)) this.#workerDeaths++
    const hopeless =
      !errorMeanings[error.code].retryElsewhere ||
      this.#attempt + 1 >= attemptsMax ||
      this.#workerDeaths >= workerDeathsMax
    const { agentId } = this.#state
    if (hopeless) return this.#fail(error, agentId)
    this.#state = { name: 'placing' }
    return [{ type: 'retry', error, agentId }]
  }

  /** The agent broke the protocol: it is told to stop, and another one does the job. */
  #breach(what: string): readonly RelayCommand[] {
    const cancel = this.#cancel()
    const error: Failure = { code: 'agent_faulty', message: `the agent sent ${what}` }
    return [...cancel, ...this.#attemptFailed(error)]
  }

  #cancel(): readonly RelayCommand[] {
    if (this.#state.name !== 'running') return nothing
    return [{ type: 'cancel', agentId: this.#state.agentId, attempt: this.#attempt }]
  }

  #tick(now: Instant): readonly RelayCommand[] {
    if (this.#state.name !== 'running' || now < this.#deadlineAt) return nothing
    const message =
      this.#vectors.length > 0
        ? 'the agent stopped sending vectors'
        : 'the agent did not begin in time'
    return [...this.#cancel(), ...this.#attemptFailed({ code: 'timeout', message })]
  }

  #fail(error: Failure, agentId: AgentId | null): readonly RelayCommand[] {
    this.#state = { name: 'ended' }
    return [{ type: 'fail', error, usage: this.#usage(), agentId }]
  }

  /** Tokens of the accepted inputs of the last attempt: the agent's word, and no more than its context holds for each. */
  #usage(): TokenUsage {
    return { promptTokens: this.#promptTokens, completionTokens: 0 }
  }
}

/** What one input may take: its length is not told before it is computed, so the longest possible counts. */
const inputBudgetMs = (contextTokens: number): number =>
  limits.firstByteBudgetMs +
  limits.firstBytePerPromptTokenMs * Math.min(contextTokens, limits.inputTokensMax)

const nothing: readonly RelayCommand[] = Object.freeze([])
const lost: Failure = { code: 'agent_lost', message: 'the agent that was working has gone away' }

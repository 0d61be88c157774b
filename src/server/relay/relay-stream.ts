import type { Instant } from '../../clock.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import { errorMeanings, isWorkerEnd, type Failure } from '../../protocol/errors.ts'
import type { AgentId, InstanceId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { TokenFrame } from '../../protocol/token-frame.ts'
import { AcceptedAnswer, type TokenIds } from './accepted-answer.ts'
import { Attempt } from './attempt.ts'
import { Lateness } from './lateness.ts'
import type { RelayCommand } from './relay-command.ts'
import type { RelayEvent, Started } from './relay-event.ts'

/** Agents that one request may fail on, the first one included. */
export const attemptsMax = 4
/** A request that killed this many workers is not tried on a further one: it may be poison. */
export const workerDeathsMax = 2
/** Times that a second agent may race the first; a stream that stalls again and again then keeps the agent it has. */
export const racesMax = 3

/** What a continuation still owes before it goes on, and what was held back at the end; twice that is a flood. */
const textFramesPerAttemptMax = 4

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

type EventOf<Type extends RelayEvent['type']> = Extract<RelayEvent, { type: Type }>

/**
 * One request on its way through the pool: which attempts count, which tokens are accepted, what the client has got.
 * Pure: `handle(event, now)` returns commands; the dispatcher owns sockets and timers. Invariants: tokens are accepted
 * in order without gap or repetition, whatever agents send; frames of an attempt that no longer counts are dropped;
 * exactly one of finish, fail, abandon is ever returned. When an attempt fails, the next one continues from the
 * accepted tokens, so a client sees a pause and never a repeated or missing token. Without token ids the first accepted
 * token is the point of no return: a failure behind it ends the stream.
 *
 *     placing ─leased→ running ─standby→ racing      racing: whoever sends an accepted frame first goes on alone
 *        ↑───retry────────┘ ↑──── one is left ──┘    from each: finish, fail, abandon → ended
 */
export class RelayStream {
  readonly #answer: AcceptedAnswer
  readonly #lateness = new Lateness()
  /** The attempt at work; null: placing. */
  #main: Attempt | null = null
  /** Races the main one; never without it. */
  #standby: Attempt | null = null
  #ended = false
  #attempts = 0
  #races = 0
  #failures = 0
  #workerDeaths = 0
  #lastError: Failure | null = null
  #firstTokenAt: Instant | null = null
  #agentId: AgentId | null = null
  #dueAt: Instant = Infinity

  /** @param promptCounts whether the prompt is part of the usage; a further answer's is not */
  constructor(chat: ChatJob, idsAre: TokenIds = 'known', promptCounts = true) {
    this.#answer = new AcceptedAnswer(chat, idsAre, promptCounts)
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Before this a tick changes nothing. */
  get dueAt(): Instant {
    return this.#dueAt
  }

  get record(): RelayRecord {
    return {
      attempts: this.#attempts,
      tokens: this.#answer.tokens,
      firstTokenAt: this.#firstTokenAt,
      agentId: this.#agentId,
    }
  }

  /** Whether this attempt counts and is the agent's: nobody may speak for another one. */
  isFrom(agentId: AgentId, attempt: number): boolean {
    return this.#attempt(attempt)?.agentId === agentId
  }

  /** @returns the attempt that runs there; null: none does */
  attemptOn(agentId: AgentId, instanceId?: InstanceId): number | null {
    for (const attempt of [this.#main, this.#standby])
      if (attempt?.agentId === agentId && (instanceId ?? attempt.instanceId) === attempt.instanceId)
        return attempt.number
    return null
  }

  /** Whether the agent has yet to send the first token of its attempt: it computes a prompt, or waits for that. */
  isBeginningOn(agentId: AgentId): boolean {
    if (this.#standby?.agentId === agentId) return true
    return this.#main?.agentId === agentId && this.#lateness.pace.lastAt === null
  }

  handle(event: RelayEvent, now: Instant): readonly RelayCommand[] {
    if (this.#ended) return nothing
    switch (event.type) {
      case 'token':
        return this.#token(event, now)
      case 'vector':
        return this.#breach(event.attempt, 'a vector for a chat')
      case 'leased':
        return this.#leased(event, now)
      case 'standby':
        return this.#race(event, now)
      case 'loading':
        return this.#loading(event.attempt, now)
      case 'refused':
        // After a failed attempt, what went wrong there tells the client more than "nobody else is left".
        return this.#fail(this.#lastError ?? event.error, null)
      case 'started':
        return this.#started(event, now)
      case 'finished':
        return this.#finished(event)
      case 'failed':
        return this.#attemptFailed(event.attempt, event.error)
      case 'agent_lost':
        return this.#giveUp(event.attempt, lost)
      case 'agent_silent':
        return this.#silent(event.attempt, now)
      case 'client_gone':
        return this.#clientGone()
      case 'tick':
        return this.#tick(now)
    }
  }

  #attempt(number: number): Attempt | null {
    if (this.#main?.number === number) return this.#main
    return this.#standby?.number === number ? this.#standby : null
  }

  #leased(event: EventOf<'leased'>, now: Instant): readonly RelayCommand[] {
    if (this.#main !== null) return nothing
    const budgetMs = event.ready ? limits.firstByteBudgetMs : limits.loadTimeoutMs
    const attempt = new Attempt(this.#attempts++, event, now, budgetMs)
    attempt.isTimed = event.ready && event.hedgeAfterMs !== undefined && this.#answer.tokens === 0
    this.#goOnWith(attempt, attempt.isTimed ? (event.hedgeAfterMs ?? null) : null)
    this.#plan()
    return [this.#assign(attempt)]
  }

  /** The scheduler takes a standby's lease back with the others when the stream has lost or ended all it had. */
  #race(event: EventOf<'standby'>, now: Instant): readonly RelayCommand[] {
    if (this.#main === null || this.#standby !== null) return nothing
    this.#races++
    this.#standby = new Attempt(this.#attempts++, event, now, limits.firstByteBudgetMs)
    this.#plan()
    return [this.#assign(this.#standby)]
  }

  #assign({ agentId, instanceId, number }: Attempt): RelayCommand {
    const continuation = this.#answer.continuation()
    return { type: 'assign', agentId, instanceId, attempt: number, continuation }
  }

  /** @param hedgeAfterMs when it is late with its first token; null: that is no matter */
  #goOnWith(attempt: Attempt, hedgeAfterMs: number | null): void {
    this.#main = attempt
    this.#standby = null
    this.#agentId = attempt.agentId
    this.#lateness.restart(hedgeAfterMs === null ? null : attempt.assignedAt + hedgeAfterMs)
  }

  #loading(number: number, now: Instant): readonly RelayCommand[] {
    const attempt = this.#attempt(number)
    if (attempt !== null && attempt.prompt === null) attempt.giveUpAt = now + limits.loadTimeoutMs
    this.#plan()
    return nothing
  }

  #started(event: Started, now: Instant): readonly RelayCommand[] {
    const attempt = this.#attempt(event.attempt)
    if (attempt === null) return nothing
    const { contextTokens } = attempt
    const problem = this.#answer.problemOfStart(event, contextTokens)
    if (problem !== null) return this.#breach(event.attempt, problem)
    // An engine without ids says it a second time when it knows the prompt's figure.
    if (attempt.prompt === null) {
      const prefillTokens = this.#answer.prefillTokens(event, contextTokens)
      attempt.giveUpAt =
        now + limits.firstByteBudgetMs + limits.firstBytePerPromptTokenMs * prefillTokens
      this.#plan()
    }
    attempt.prompt = event
    if (attempt === this.#main) this.#answer.setPrompt(event, contextTokens)
    return nothing
  }

  #token(frame: TokenFrame, now: Instant): readonly RelayCommand[] {
    const attempt = this.#attempt(frame.attempt)
    if (attempt === null) return nothing
    if (attempt.prompt === null) return this.#breach(frame.attempt, 'tokens before the start')
    if (frame.tokenId === null && ++attempt.textFrames > textFramesPerAttemptMax)
      return this.#breach(frame.attempt, 'text without tokens')
    // Before the first token two racing agents may have different prompts; the winner's is the answer's.
    if (this.#answer.tokens === 0) this.#answer.setPrompt(attempt.prompt, attempt.contextTokens)
    const taken = this.#answer.take(frame)
    if (taken === 'repeated') return nothing
    if (taken !== 'accepted') return this.#breach(frame.attempt, taken.problem)
    const before = this.#main?.isTimed === true ? this.#timed(this.#main, now) : nothing
    const raced = this.#standby === null ? before : [...before, ...this.#won(attempt)]
    this.#firstTokenAt ??= now
    this.#lateness.pace.arrived(now)
    attempt.giveUpAt = now + limits.firstByteBudgetMs
    // The tick at that time plans anew; before it nothing can be late.
    this.#dueAt = now + limits.stallMinMs
    const { segments, logprob } = frame
    // They go with an accepted token, so a second attempt neither repeats nor misses one.
    if (logprob !== undefined && frame.tokenId !== null && this.#answer.wantsLogprobs)
      return [...raced, { type: 'deliver', segments, logprob }]
    if (raced.length === 0) return segments.length === 0 ? nothing : [{ type: 'deliver', segments }]
    return [...raced, { type: 'deliver', segments }]
  }

  #timed(main: Attempt, now: Instant): readonly RelayCommand[] {
    main.isTimed = false
    return [{ type: 'began', agentId: main.agentId, afterMs: now - main.assignedAt }]
  }

  /** One of two racing attempts was first; the other one is told to stop. */
  #won(winner: Attempt): readonly RelayCommand[] {
    const { main, standby } = { main: this.#main, standby: this.#standby }
    if (main === null || standby === null) return nothing
    if (winner === main) {
      this.#standby = null
      return [cancel(standby), { type: 'drop', agentId: standby.agentId, error: null }]
    }
    // It costs nothing to be overtaken at the start: hedging is a bet. A stall is told, but is nobody's fault so far.
    const error = this.#lateness.isStall ? stalled : null
    this.#goOnWith(winner, null)
    return [cancel(main), { type: 'drop', agentId: main.agentId, error }]
  }

  #finished(event: EventOf<'finished'>): readonly RelayCommand[] {
    const attempt = this.#attempt(event.attempt)
    if (attempt === null) return nothing
    if (attempt.prompt === null) return this.#breach(event.attempt, 'an end before the start')
    if (event.tokens !== this.#answer.tokens)
      return this.#breach(event.attempt, 'fewer tokens than it says')
    this.#answer.setPrompt(attempt.prompt, attempt.contextTokens)
    const raced = this.#standby === null ? nothing : this.#won(attempt)
    this.#end()
    return [...raced, { type: 'finish', reason: event.reason, usage: this.#answer.usage() }]
  }

  #attemptFailed(number: number, error: Failure): readonly RelayCommand[] {
    const attempt = this.#attempt(number)
    if (attempt === null) return nothing
    this.#lastError = error
    this.#failures++
    if (isWorkerEnd(error.code)) this.#workerDeaths++
    const { agentId } = attempt
    const mayGoOn = errorMeanings[error.code].retryElsewhere && this.#workerDeaths < workerDeathsMax
    const other = attempt === this.#main ? this.#standby : this.#main
    if (other !== null) {
      if (!mayGoOn) return [cancel(other), ...this.#fail(error, agentId)]
      if (attempt === this.#main) this.#goOnWith(other, null)
      this.#standby = null
      this.#plan()
      return [{ type: 'drop', agentId, error }]
    }
    const hopeless = !mayGoOn || this.#answer.isPastReturn || this.#failures >= attemptsMax
    if (hopeless) return this.#fail(error, agentId)
    this.#main = null
    this.#dueAt = Infinity
    return [{ type: 'retry', error, agentId }]
  }

  /** An attempt that does not end by itself: its agent is told to stop. */
  #giveUp(number: number, error: Failure): readonly RelayCommand[] {
    const attempt = this.#attempt(number)
    return attempt === null ? nothing : [cancel(attempt), ...this.#attemptFailed(number, error)]
  }

  /** The agent broke the protocol: another one goes on from what was accepted before. */
  #breach(number: number, what: string): readonly RelayCommand[] {
    return this.#giveUp(number, { code: 'agent_faulty', message: `the agent sent ${what}` })
  }

  #clientGone(): readonly RelayCommand[] {
    const cancels = [this.#main, this.#standby].flatMap(attempt =>
      attempt === null ? [] : [cancel(attempt)],
    )
    this.#end()
    return [...cancels, { type: 'abandon', usage: this.#answer.usage() }]
  }

  #silent(number: number, now: Instant): readonly RelayCommand[] {
    if (this.#main?.number !== number) return nothing
    this.#lateness.silent(now)
    return this.#tick(now)
  }

  #tick(now: Instant): readonly RelayCommand[] {
    for (const attempt of [this.#standby, this.#main])
      if (attempt !== null && now >= attempt.giveUpAt)
        return this.#giveUp(attempt.number, late(attempt))
    const main = this.#main
    const seek = main !== null && this.#mayRace && now >= this.#lateness.lateAt
    const asked = seek ? this.#lateness.ask(now) : null
    this.#plan()
    if (main === null || asked === null) return nothing
    return [{ type: 'seek_standby', agentId: main.agentId, ...asked }]
  }

  get #mayRace(): boolean {
    return this.#standby === null && this.#races < racesMax && !this.#answer.isPastReturn
  }

  /** Sets when the next tick has something to do. */
  #plan(): void {
    const lateAt = this.#mayRace ? this.#lateness.lateAt : Infinity
    const giveUpAt = Math.min(this.#main?.giveUpAt ?? Infinity, this.#standby?.giveUpAt ?? Infinity)
    this.#dueAt = Math.min(lateAt, giveUpAt)
  }

  #end(): void {
    this.#main = null
    this.#standby = null
    this.#ended = true
    this.#dueAt = Infinity
  }

  #fail(error: Failure, agentId: AgentId | null): readonly RelayCommand[] {
    this.#end()
    return [{ type: 'fail', error, usage: this.#answer.usage(), agentId }]
  }
}

const cancel = ({ agentId, number }: Attempt): RelayCommand => ({
  type: 'cancel',
  agentId,
  attempt: number,
})

const late = ({ prompt }: Attempt): Failure => ({
  code: 'timeout',
  message: prompt === null ? 'the agent did not begin in time' : 'the agent stopped sending tokens',
})

const nothing: readonly RelayCommand[] = Object.freeze([])
const lost: Failure = { code: 'agent_lost', message: 'the agent that was answering has gone away' }
const stalled: Failure = { code: 'stalled', message: 'the agent fell silent' }

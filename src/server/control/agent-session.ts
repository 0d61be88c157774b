import type { Instant } from '../../clock.ts'
import type { AgentMessage, Hello } from '../../protocol/agent-message.ts'
import type { Refusal } from '../../protocol/codec.ts'
import type { Failure } from '../../protocol/errors.ts'
import { limits } from '../../protocol/limits.ts'
import type { ServerMessage } from '../../protocol/server-message.ts'
import type { TokenFrames } from '../../protocol/token-frames.ts'
import {
  negotiateVersion,
  protocolFeatures,
  protocolVersionsSpoken,
} from '../../protocol/version.ts'
import type { AttemptCause } from '../../scheduler/attempt-cause.ts'
import type { AgentRecord } from '../store/store.ts'

export type SessionEvent =
  | { readonly type: 'opened'; readonly nonce: string }
  | { readonly type: 'received'; readonly what: AgentMessage | TokenFrames | Refusal }
  /** The registry's word on the hello that was handed out by `check_identity`. */
  | { readonly type: 'identity'; readonly outcome: AgentRecord | Failure }
  | { readonly type: 'pong' }
  /** The agent is silent where it should not be: does it live? */
  | { readonly type: 'probe' }
  | { readonly type: 'tick' }

/** An agent's message that belongs to the pool and not to the connection. */
export type PoolMessage =
  | Extract<
      AgentMessage,
      {
        type:
          | 'heartbeat'
          | 'inventory'
          | 'external_models'
          | 'instance'
          | 'started'
          | 'finished'
          | 'failed'
      }
    >
  | TokenFrames

export type SessionCommand =
  | { readonly type: 'send'; readonly message: ServerMessage }
  | { readonly type: 'ping' }
  | {
      readonly type: 'check_identity'
      readonly hello: Hello
      readonly nonce: string
      readonly version: number
    }
  /** The agent is who it says: hand it to the pool. */
  | { readonly type: 'admit'; readonly agent: AgentRecord; readonly hello: Hello }
  | { readonly type: 'forward'; readonly message: PoolMessage }
  | { readonly type: 'ping_late'; readonly late: boolean }
  /** A ping was not answered in its time: nothing seems to live there. */
  | { readonly type: 'silent' }
  | { readonly type: 'log'; readonly text: string }
  | { readonly type: 'close'; readonly code: number; readonly reason: string }

type State =
  | { readonly name: 'opening' }
  | { readonly name: 'challenged'; readonly nonce: string; readonly deadlineAt: Instant }
  | {
      readonly name: 'checking'
      readonly hello: Hello
      readonly version: number
      readonly deadlineAt: Instant
    }
  | {
      readonly name: 'online'
      readonly pingDueAt: Instant
      /** When the ping that is under way becomes late; null: none is under way. */
      readonly pongDueAt: Instant | null
      readonly late: boolean
      readonly silent: boolean
    }
  | { readonly name: 'closed' }

/** WebSocket close codes, RFC 6455 and the private range for what an agent should do differently. */
export const closeCodes = {
  policyViolation: 1008,
  tryAgainLater: 1013,
  /** Not before a person has changed something. */
  refused: 4001,
  upgradeRequired: 4002,
  replaced: 4003,
} as const

/** Whose doing it was that a connection ended; agents say goodbye (RFC 6455: 1000, 1001) when they stop or the machine slept. */
export function causeOfClose(code: number): AttemptCause {
  if (code === 1000 || code === 1001) return 'owner'
  if (code === closeCodes.policyViolation) return 'node'
  return code === closeCodes.refused || code === closeCodes.upgradeRequired ? 'server' : 'network'
}

/**
 * One agent's connection as the server sees it: challenge, proof, then messages until it ends. Pure:
 * `handle(event, now)` returns commands; agent-listener.ts owns the socket. Before `admit` nothing an agent says
 * reaches the pool.
 */
export class AgentSession {
  #state: State = { name: 'opening' }

  handle(event: SessionEvent, now: Instant): readonly SessionCommand[] {
    switch (event.type) {
      case 'opened':
        return this.#opened(event.nonce, now)
      case 'received':
        return this.#received(event.what, now)
      case 'identity':
        return this.#identified(event.outcome, now)
      case 'pong':
        return this.#pong(now)
      case 'probe':
        return this.#probe(now)
      case 'tick':
        return this.#tick(now)
    }
  }

  #opened(nonce: string, now: Instant): readonly SessionCommand[] {
    this.#state = { name: 'challenged', nonce, deadlineAt: now + limits.handshakeTimeoutMs }
    const versions = [...protocolVersionsSpoken]
    const features = [...protocolFeatures]
    return [{ type: 'send', message: { type: 'challenge', nonce, versions, features } }]
  }

  #received(what: AgentMessage | TokenFrames | Refusal, now: Instant): readonly SessionCommand[] {
    if (this.#state.name === 'closed') return nothing
    if (what.type === 'refusal') return this.#refusal(what)
    if (what.type === 'hello') return this.#hello(what, now)
    if (this.#state.name !== 'online')
      return this.#breach(`${what.type} came before the handshake was over`)
    if (what.type === 'error')
      return [{ type: 'log', text: `the agent reports ${what.error.code}: ${what.error.message}` }]
    if (what.type !== 'heartbeat') return [{ type: 'forward', message: what }]
    const ack: ServerMessage = { type: 'heartbeat_ack', sequence: what.sequence }
    return [
      { type: 'send', message: ack },
      { type: 'forward', message: what },
    ]
  }

  /** A newer agent's unknown type is ignored (it should not have sent it); anything else ends the connection. */
  #refusal(refusal: Refusal): readonly SessionCommand[] {
    if (refusal.reason === 'unknown_type' && this.#state.name === 'online')
      return [{ type: 'log', text: `ignored a message: ${refusal.detail}` }]
    return this.#breach(refusal.detail)
  }

  #hello(hello: Hello, now: Instant): readonly SessionCommand[] {
    if (this.#state.name !== 'challenged')
      return this.#breach('hello is said once, after challenge')
    const version = negotiateVersion(protocolVersionsSpoken, hello.versions)
    if (version === undefined) {
      const message = `this server speaks protocol ${protocolVersionsSpoken.join(', ')}; update the agent`
      const retryAfterMs = limits.upgradeRetryMs
      return this.#refuse({ code: 'upgrade_required', message }, retryAfterMs)
    }
    const { nonce } = this.#state
    this.#state = {
      name: 'checking',
      hello,
      version,
      deadlineAt: now + limits.handshakeTimeoutMs,
    }
    return [{ type: 'check_identity', hello, nonce, version }]
  }

  #identified(outcome: AgentRecord | Failure, now: Instant): readonly SessionCommand[] {
    if (this.#state.name !== 'checking') return nothing
    const { hello, version } = this.#state
    if ('code' in outcome) {
      const retryAfterMs = outcome.code === 'unauthorized' ? null : limits.reconnectDelayMaxMs
      return this.#refuse(outcome, retryAfterMs)
    }
    if (outcome.adminState === 'revoked')
      return this.#refuse(
        { code: 'unauthorized', message: 'the operator revoked this agent' },
        null,
      )
    const pingDueAt = now + limits.pingIntervalMs
    this.#state = { name: 'online', pingDueAt, pongDueAt: null, late: false, silent: false }
    const welcome: ServerMessage = {
      type: 'welcome',
      version,
      features: [...protocolFeatures],
      heartbeatIntervalMs: limits.heartbeatIntervalMs,
      name: outcome.name,
      adminState: outcome.adminState,
    }
    return [
      { type: 'send', message: welcome },
      { type: 'admit', agent: outcome, hello },
    ]
  }

  #pong(now: Instant): readonly SessionCommand[] {
    if (this.#state.name !== 'online') return nothing
    const wasLate = this.#state.late
    const pingDueAt = now + limits.pingIntervalMs
    this.#state = { name: 'online', pingDueAt, pongDueAt: null, late: false, silent: false }
    return wasLate ? [{ type: 'ping_late', late: false }] : nothing
  }

  /** Late until the next pong, also when a ping is under way: its answer does as well. */
  #probe(now: Instant): readonly SessionCommand[] {
    if (this.#state.name !== 'online' || this.#state.late) return nothing
    const { pongDueAt } = this.#state
    const probeDueAt = now + limits.probeTimeoutMs
    this.#state = {
      ...this.#state,
      pongDueAt: Math.min(pongDueAt ?? probeDueAt, probeDueAt),
      late: true,
    }
    const late = { type: 'ping_late', late: true } as const
    return pongDueAt === null ? [{ type: 'ping' }, late] : [late]
  }

  #tick(now: Instant): readonly SessionCommand[] {
    const state = this.#state
    if (state.name === 'challenged' || state.name === 'checking')
      return now < state.deadlineAt ? nothing : this.#breach('the handshake took too long')
    if (state.name !== 'online') return nothing
    if (state.pongDueAt === null) {
      if (now < state.pingDueAt) return nothing
      this.#state = { ...state, pongDueAt: now + limits.pongTimeoutMs }
      return [{ type: 'ping' }]
    }
    if (state.silent || now < state.pongDueAt) return nothing
    this.#state = { ...state, late: true, silent: true }
    return state.late
      ? [{ type: 'silent' }]
      : [{ type: 'ping_late', late: true }, { type: 'silent' }]
  }

  #refuse(error: Failure, retryAfterMs: number | null): readonly SessionCommand[] {
    this.#state = { name: 'closed' }
    const code = error.code === 'upgrade_required' ? closeCodes.upgradeRequired : closeCodes.refused
    return [
      { type: 'log', text: `refused: ${error.message}` },
      { type: 'send', message: { type: 'refused', error, retryAfterMs } },
      { type: 'close', code, reason: error.code },
    ]
  }

  #breach(detail: string): readonly SessionCommand[] {
    this.#state = { name: 'closed' }
    const error: Failure = { code: 'invalid_request', message: detail }
    return [
      { type: 'log', text: `protocol breach: ${detail}` },
      { type: 'send', message: { type: 'error', error } },
      { type: 'close', code: closeCodes.policyViolation, reason: 'protocol breach' },
    ]
  }
}

const nothing: readonly SessionCommand[] = Object.freeze([])

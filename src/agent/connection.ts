import type { Instant } from '../clock.ts'
import type { AgentMessage } from '../protocol/agent-message.ts'
import type { Refusal } from '../protocol/codec.ts'
import { knownFailure, type Failure } from '../protocol/errors.ts'
import { limits } from '../protocol/limits.ts'
import type { ServerMessage } from '../protocol/server-message.ts'
import {
  negotiateVersion,
  protocolVersion,
  protocolVersionsSpoken,
  type ProtocolFeature,
} from '../protocol/version.ts'
import { agentLimits } from './agent-limits.ts'
import { jittered, reconnectDelayMs } from './backoff.ts'
import type { ConnectionCommand, ConnectionEvent } from './connection-event.ts'

type Online = {
  readonly name: 'online'
  readonly socket: number
  readonly heartbeatIntervalMs: number
  readonly heartbeatDueAt: Instant
  readonly sequence: number
  readonly sentAt: Instant
  readonly lastAckAt: Instant
  readonly networkLatencyMs: number | null
  /** What the server understands beyond the base set. */
  readonly features: readonly string[]
  /** The server said that it restarts: when to come back after it has closed the connection. */
  readonly comeBack: { readonly minMs: number; readonly maxMs: number } | null
}

export type ConnectionState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly socket: number; readonly deadlineAt: Instant }
  | {
      readonly name: 'handshaking'
      readonly socket: number
      readonly deadlineAt: Instant
      readonly helloSent: boolean
    }
  | Online
  | { readonly name: 'backing_off'; readonly until: Instant; readonly reason: string }
  /** `error`: refused for good; null: the agent itself has stopped. */
  | { readonly name: 'stopped'; readonly error: Failure | null }

type Commands = readonly ConnectionCommand[]
type Received = Extract<ConnectionEvent, { type: 'received' }>['what']

const closeGoingAway = 1001
const closePolicyViolation = 1008

/**
 * The agent's one connection: open, prove who it is, heartbeat, and come back after every loss. Pure:
 * `handle(event, now, random)` returns commands, and `dueAt` says when the next tick is wanted; run.ts and transport.ts
 * own the socket and the timer. There is never more than one socket.
 *
 *     idle ─start→ connecting ─opened→ handshaking ─welcome→ online
 *                     ↑  └────────── lost, late, refused ──────┘│
 *                     └──tick── backing_off ←───────────────────┘      refused for good, stop → stopped
 */
export class Connection {
  #state: ConnectionState = { name: 'idle' }
  #sockets = 0
  /** Attempts in a row that brought no acknowledged heartbeat. */
  #failures = 0

  get state(): ConnectionState {
    return this.#state
  }

  /** The socket that token frames may be written to; undefined: none is online. */
  get onlineSocket(): number | undefined {
    return this.#state.name === 'online' ? this.#state.socket : undefined
  }

  /** When `tick` is wanted next; null: never. */
  get dueAt(): Instant | null {
    const state = this.#state
    switch (state.name) {
      case 'connecting':
      case 'handshaking':
        return state.deadlineAt
      case 'online':
        return Math.min(state.heartbeatDueAt, ackDeadline(state))
      case 'backing_off':
        return state.until
      case 'idle':
      case 'stopped':
        return null
    }
  }

  /** @param random drawn from [0, 1) for this event; it spreads the delays */
  handle(event: ConnectionEvent, now: Instant, random: number): Commands {
    if (this.#state.name === 'stopped') return nothing
    switch (event.type) {
      case 'start':
        return this.#state.name === 'idle' ? this.#connect(now) : nothing
      case 'socket_opened':
        return this.#opened(event.socket, now)
      case 'socket_closed':
        return event.socket === this.#socket() ? this.#lost(event.reason, now, random) : nothing
      case 'received':
        return event.socket === this.#socket() ? this.#received(event.what, now, random) : nothing
      case 'tick':
        return this.#tick(now, random)
      case 'woke':
        return this.#woke(now)
      case 'say':
        return this.#say(event.message)
      case 'heartbeat_now':
        // The next one is due an interval after this one.
        return this.#state.name === 'online'
          ? this.#heartbeat({ ...this.#state, heartbeatDueAt: now }, now)
          : nothing
      case 'stop':
        return this.#stop('the agent stops', null)
    }
  }

  #socket(): number | undefined {
    return 'socket' in this.#state ? this.#state.socket : undefined
  }

  /** Whether there is a server at the other end that listed the feature. */
  understands(feature: ProtocolFeature): boolean {
    return this.#state.name === 'online' && this.#state.features.includes(feature)
  }

  #say(message: AgentMessage): Commands {
    if (this.#state.name !== 'online') return nothing
    const feature = featureOf(message)
    return feature === null || this.understands(feature) ? [{ type: 'send', message }] : nothing
  }

  #connect(now: Instant): Commands {
    const socket = ++this.#sockets
    const deadlineAt = now + limits.handshakeTimeoutMs
    this.#state = { name: 'connecting', socket, deadlineAt }
    return [{ type: 'open_socket', socket }]
  }

  #opened(socket: number, now: Instant): Commands {
    if (this.#state.name !== 'connecting' || this.#state.socket !== socket) return nothing
    const deadlineAt = now + limits.handshakeTimeoutMs
    this.#state = { name: 'handshaking', socket, deadlineAt, helloSent: false }
    return nothing
  }

  #received(what: Received, now: Instant, random: number): Commands {
    switch (what.type) {
      case 'refusal':
        return this.#unreadable(what, now, random)
      case 'error':
        return [warning(`the server reports ${what.error.code}: ${what.error.message}`)]
      case 'refused':
        return this.#refused(what, now, random)
      case 'challenge':
      case 'welcome':
        return this.#handshake(what, now, random)
      case 'heartbeat_ack':
      case 'restarting':
      case 'load':
      case 'unload':
      case 'assign':
      case 'assign_embed':
      case 'cancel':
      case 'drain':
        return this.#state.name === 'online'
          ? this.#working(this.#state, what, now)
          : this.#breach(`${what.type} came before welcome`, now, random)
    }
  }

  /** A newer server's unknown type is ignored; bytes that break the protocol end the connection. */
  #unreadable(refusal: Refusal, now: Instant, random: number): Commands {
    return refusal.reason === 'unknown_type'
      ? [warning(`a message of the server was ignored: ${refusal.detail}`)]
      : this.#breach(refusal.detail, now, random)
  }

  #handshake(
    message: Extract<ServerMessage, { type: 'challenge' | 'welcome' }>,
    now: Instant,
    random: number,
  ): Commands {
    const state = this.#state
    if (state.name !== 'handshaking' || (message.type === 'welcome') !== state.helloSent)
      return this.#breach(`${message.type} came out of turn`, now, random)
    if (message.type === 'challenge') {
      this.#state = { ...state, helloSent: true }
      // With no common version the hello still goes out: the server is the one to say that an upgrade is required.
      const version = negotiateVersion(protocolVersionsSpoken, message.versions) ?? protocolVersion
      return [{ type: 'send_hello', nonce: message.nonce, version }]
    }
    if (!protocolVersionsSpoken.includes(message.version))
      return this.#breach(`protocol ${message.version} is not one of ours`, now, random)
    this.#state = {
      name: 'online',
      socket: state.socket,
      heartbeatIntervalMs: message.heartbeatIntervalMs,
      heartbeatDueAt: now + message.heartbeatIntervalMs,
      sequence: 1,
      sentAt: now,
      lastAckAt: now,
      networkLatencyMs: null,
      features: message.features,
      comeBack: null,
    }
    const { name, adminState, version } = message
    return [
      { type: 'online', welcome: { name, adminState, version } },
      { type: 'send_heartbeat', sequence: 1, networkLatencyMs: null },
    ]
  }

  #working(
    state: Online,
    message: Exclude<ServerMessage, { type: 'error' | 'refused' | 'challenge' | 'welcome' }>,
    now: Instant,
  ): Commands {
    switch (message.type) {
      case 'heartbeat_ack':
        this.#failures = 0
        this.#state = {
          ...state,
          lastAckAt: now,
          networkLatencyMs:
            message.sequence === state.sequence ? now - state.sentAt : state.networkLatencyMs,
        }
        return nothing
      case 'restarting': {
        const { reconnectAfterMinMs: minMs, reconnectAfterMaxMs: maxMs } = message
        this.#state = { ...state, comeBack: { minMs, maxMs: Math.max(minMs, maxMs) } }
        return [{ type: 'log', level: 'info', text: 'the server restarts' }]
      }
      case 'load':
      case 'unload':
      case 'assign':
      case 'assign_embed':
      case 'cancel':
      case 'drain':
        return [{ type: 'deliver', order: message }]
    }
  }

  #refused(
    { error: wire, retryAfterMs }: Extract<ServerMessage, { type: 'refused' }>,
    now: Instant,
    random: number,
  ): Commands {
    const error = knownFailure(wire)
    const reason = `the server refused this agent: ${error.message}`
    if (error.code === 'upgrade_required')
      return this.#drop(reason, now, jittered(limits.upgradeRetryMs, random))
    if (retryAfterMs === null) return this.#stop(reason, error)
    // Never earlier than told, and never at once: a server that says 0 must not be hammered.
    const waitMs = Math.max(retryAfterMs, limits.reconnectDelayMinMs)
    return this.#drop(reason, now, waitMs * (1 + limits.reconnectJitterRatio * random))
  }

  #tick(now: Instant, random: number): Commands {
    const { dueAt } = this
    const state = this.#state
    if (dueAt === null || now < dueAt) return nothing
    // The process did not run when it should have, so its socket's pings went unanswered: as good as asleep.
    if (now - dueAt > agentLimits.sleepNoticeMs) return this.#woke(now)
    switch (state.name) {
      case 'connecting':
        return this.#fail('the server does not answer', now, random)
      case 'handshaking':
        return this.#fail('the handshake took too long', now, random)
      case 'backing_off':
        return this.#connect(now)
      case 'online':
        return now >= ackDeadline(state)
          ? this.#fail('heartbeats are not acknowledged', now, random)
          : this.#heartbeat(state, now)
      case 'idle':
      case 'stopped':
        return nothing
    }
  }

  #heartbeat(state: Online, now: Instant): Commands {
    const sequence = state.sequence + 1
    // From the time it was due, so that small delays do not add up to a missed heartbeat.
    const heartbeatDueAt = Math.max(state.heartbeatDueAt + state.heartbeatIntervalMs, now + 1)
    this.#state = { ...state, sequence, sentAt: now, heartbeatDueAt }
    return [{ type: 'send_heartbeat', sequence, networkLatencyMs: state.networkLatencyMs }]
  }

  #woke(now: Instant): Commands {
    if (this.#state.name === 'idle') return nothing
    this.#failures = 0
    const left = this.#leave(closeGoingAway, 'the machine slept')
    return [...left, { type: 'log', level: 'info', text: 'woke up' }, ...this.#connect(now)]
  }

  /** The other side closed, or never opened. */
  #lost(reason: string, now: Instant, random: number): Commands {
    const state = this.#state
    const comeBack = state.name === 'online' ? state.comeBack : null
    const delayMs =
      comeBack === null
        ? reconnectDelayMs(this.#failures++, random)
        : comeBack.minMs + (comeBack.maxMs - comeBack.minMs) * random
    const offline: Commands = state.name === 'online' ? [{ type: 'offline', reason }] : nothing
    return [...offline, ...this.#backOff(reason, now, delayMs)]
  }

  #fail(reason: string, now: Instant, random: number): Commands {
    return this.#drop(reason, now, reconnectDelayMs(this.#failures++, random))
  }

  #breach(detail: string, now: Instant, random: number): Commands {
    const delayMs = reconnectDelayMs(this.#failures++, random)
    const message = { type: 'error', error: { code: 'invalid_request', message: detail } } as const
    const online = this.#state.name === 'online'
    const said: Commands = online ? [{ type: 'send', message }] : nothing
    const reason = `the server broke the protocol: ${detail}`
    return [...said, ...this.#drop(reason, now, delayMs, closePolicyViolation)]
  }

  #drop(reason: string, now: Instant, delayMs: number, code = closeGoingAway): Commands {
    const left = this.#leave(code, reason)
    return [...left, ...this.#backOff(reason, now, delayMs)]
  }

  #backOff(reason: string, now: Instant, delayMs: number): Commands {
    const until = now + delayMs
    this.#state = { name: 'backing_off', until, reason }
    return [{ type: 'retry', at: until, reason }]
  }

  #stop(reason: string, error: Failure | null): Commands {
    const left = this.#leave(closeGoingAway, reason)
    this.#state = { name: 'stopped', error }
    return error === null ? left : [...left, { type: 'refused_for_good', error }]
  }

  /** Closes the socket that is there; the caller sets the next state. */
  #leave(code: number, reason: string): Commands {
    const socket = this.#socket()
    if (socket === undefined) return nothing
    const close = { type: 'close_socket', socket, code, reason } as const
    return this.#state.name === 'online' ? [close, { type: 'offline', reason }] : [close]
  }
}

/** @returns the feature that a server must have listed to be sent this message; null for the base set */
function featureOf({ type }: AgentMessage): ProtocolFeature | null {
  if (type === 'inventory') return 'inventory'
  return type === 'external_models' ? 'external' : null
}

const ackDeadline = (state: Online): Instant => state.lastAckAt + 2 * state.heartbeatIntervalMs

const warning = (text: string): ConnectionCommand => ({ type: 'log', level: 'warn', text })

const nothing: Commands = Object.freeze([])

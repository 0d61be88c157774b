import type { Clock } from '../../clock.ts'
import { decodeFromAgent, encodeServerMessage } from '../../protocol/codec.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { AgentId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import { errorFields, type Log } from '../log.ts'
import type { AgentLink, Sent } from '../pool/agent-link.ts'
import type { Dispatcher } from '../pool/dispatcher.ts'
import type { AgentRecord } from '../store/store.ts'
import {
  AgentSession,
  causeOfClose,
  closeCodes,
  type SessionCommand,
  type SessionEvent,
} from './agent-session.ts'
import type { Proof } from './identity.ts'

/** Connections that have not shown who they are; more are turned away until some have. */
const strangersMax = 1_000

export type AgentConnectionsDeps = {
  readonly clock: Clock
  readonly log: Log
  readonly dispatcher: Dispatcher
  /** Of the authority that agents trust; it is part of what they sign. */
  readonly caFingerprint: string
  readonly checkIdentity: (proof: Proof) => Promise<AgentRecord | Failure>
  /** Base64 of `limits.nonceBytes` random bytes, new in every connection. */
  readonly nonce: () => string
}

/** The server's end of an agent's WebSocket. */
export type AgentSocket = {
  sendText(text: string): unknown
  ping(): unknown
  close(code: number, reason: string): void
}

/** What belongs to one socket. */
export class AgentConnection implements AgentLink {
  readonly session = new AgentSession()
  socket: AgentSocket | null = null
  agentId: AgentId | null = null
  /** Who hears of what the session is told from elsewhere than its socket. */
  onProbe: () => void = () => {}

  send(message: Parameters<AgentLink['send']>[0]): Sent {
    if (this.socket === null) return 'not_connected'
    const text = encodeServerMessage(message)
    if (Buffer.byteLength(text) > limits.controlMessageBytesMax) return 'too_large'
    this.socket.sendText(text)
    return 'sent'
  }

  probe(): void {
    this.onProbe()
  }

  close(code: number, reason: string): void {
    this.socket?.close(code, reason)
  }
}

/** All agents' connections: what a socket brings goes to its session, and what the session wants is done. */
export class AgentConnections {
  readonly #deps: AgentConnectionsDeps
  readonly #connections = new Set<AgentConnection>()

  constructor(deps: AgentConnectionsDeps) {
    this.#deps = deps
  }

  /** Whether one more that has not shown who it is would be too many. */
  get isFull(): boolean {
    let strangers = 0
    for (const { agentId } of this.#connections) if (agentId === null) strangers++
    return strangers >= strangersMax
  }

  tick(): void {
    for (const connection of this.#connections) this.#handle(connection, { type: 'tick' })
  }

  opened(connection: AgentConnection, socket: AgentSocket): void {
    connection.socket = socket
    connection.onProbe = () => this.#handle(connection, { type: 'probe' })
    this.#connections.add(connection)
    this.#handle(connection, { type: 'opened', nonce: this.#deps.nonce() })
  }

  /** @param data a text or binary message as it came */
  received(connection: AgentConnection, data: string | Uint8Array): void {
    this.#handle(connection, { type: 'received', what: decodeFromAgent(data) })
  }

  ponged(connection: AgentConnection): void {
    this.#handle(connection, { type: 'pong' })
  }

  /** @param code of the close frame, or 1006 when there was none */
  closed(connection: AgentConnection, code: number): void {
    this.#connections.delete(connection)
    connection.socket = null
    if (connection.agentId !== null)
      this.#deps.dispatcher.agentGone(connection.agentId, connection, causeOfClose(code))
  }

  #handle(connection: AgentConnection, event: SessionEvent): void {
    for (const command of connection.session.handle(event, this.#deps.clock.now()))
      this.#perform(connection, command)
  }

  #perform(connection: AgentConnection, command: SessionCommand): void {
    const { dispatcher, log } = this.#deps
    switch (command.type) {
      case 'send':
        connection.send(command.message)
        return
      case 'ping':
        connection.socket?.ping()
        return
      case 'close':
        connection.close(command.code, command.reason)
        return
      case 'log':
        log.warn('agent connection', {
          ...(connection.agentId !== null && { agentId: connection.agentId }),
          reason: command.text,
        })
        return
      case 'check_identity':
        void this.#checkIdentity(connection, command)
        return
      case 'admit':
        if (connection.socket === null) return
        if (dispatcher.isRevoked(command.agent.id)) {
          connection.close(closeCodes.refused, 'revoked by the operator')
          return
        }
        connection.agentId = command.agent.id
        dispatcher.agentAdmitted(command.agent, command.hello, connection)
        return
      case 'forward':
        if (connection.agentId !== null) dispatcher.agentSays(connection.agentId, command.message)
        return
      case 'ping_late': {
        const { agentId } = connection
        if (agentId !== null) dispatcher.schedule({ type: 'ping', agentId, late: command.late })
        return
      }
      case 'silent':
        if (connection.agentId !== null) dispatcher.agentSilent(connection.agentId)
    }
  }

  async #checkIdentity(
    connection: AgentConnection,
    { hello, nonce, version }: Extract<SessionCommand, { type: 'check_identity' }>,
  ): Promise<void> {
    const { checkIdentity, caFingerprint, log } = this.#deps
    let outcome: AgentRecord | Failure
    try {
      outcome = await checkIdentity({ hello, nonce, version, caFingerprint })
    } catch (error) {
      log.error('the registry could not be read', errorFields(error))
      outcome = { code: 'internal', message: 'the registry cannot be read; try again' }
    }
    this.#handle(connection, { type: 'identity', outcome })
  }
}

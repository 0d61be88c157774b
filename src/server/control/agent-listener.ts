import type { Server, ServerWebSocket } from 'bun'
import type { Clock } from '../../clock.ts'
import { decodeFromAgent, encodeServerMessage } from '../../protocol/codec.ts'
import type { AgentId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { AgentLink, Sent } from '../pool/agent-link.ts'
import { errorFields, type Log } from '../log.ts'
import type { Dispatcher } from '../pool/dispatcher.ts'
import type { AgentRecord } from '../store/store.ts'
import type { TlsIdentity } from '../tls/authority.ts'
import {
  AgentSession,
  closeCodes,
  type SessionCommand,
  type SessionEvent,
} from './agent-session.ts'
import type { Proof } from './identity.ts'

/** Connections that have not shown who they are; more are turned away until some have. */
const strangersMax = 1_000

export type AgentListenerDeps = {
  readonly clock: Clock
  readonly log: Log
  readonly dispatcher: Dispatcher
  readonly tls: TlsIdentity
  readonly checkIdentity: (proof: Proof) => Promise<AgentRecord | Failure>
}

type Socket = ServerWebSocket<Connection>

/** What belongs to one socket. */
class Connection implements AgentLink {
  readonly session = new AgentSession()
  readonly address: string
  socket: Socket | null = null
  agentId: AgentId | null = null

  constructor(address: string) {
    this.address = address
  }

  send(message: Parameters<AgentLink['send']>[0]): Sent {
    if (this.socket === null) return 'not_connected'
    const text = encodeServerMessage(message)
    if (Buffer.byteLength(text) > limits.controlMessageBytesMax) return 'too_large'
    this.socket.sendText(text)
    return 'sent'
  }

  close(code: number, reason: string): void {
    this.socket?.close(code, reason)
  }
}

/**
 * The listener that agents keep their one connection to: `wss://HOST:PORT/agent`. A thin driver: sockets and frames
 * here, every decision in AgentSession and the dispatcher.
 */
export class AgentListener {
  readonly #deps: AgentListenerDeps
  readonly #connections = new Set<Connection>()
  readonly #server: Server<Connection>

  /** @throws an Error with code EADDRINUSE when the port is taken */
  constructor(deps: AgentListenerDeps, host: string, port: number) {
    this.#deps = deps
    this.#server = Bun.serve<Connection>({
      hostname: host,
      port,
      tls: {
        cert: deps.tls.certPem,
        key: deps.tls.keyPem,
        secureOptions: sslOpNoTicket,
      },
      // Bun's error page in development shows sources to whoever asks.
      development: false,
      error: error => {
        deps.log.error('agent listener', errorFields(error))
        return new Response('something went wrong\n', { status: 500 })
      },
      fetch: (request, server) => this.#upgrade(request, server),
      websocket: {
        maxPayloadLength: limits.controlMessageBytesMax,
        backpressureLimit: limits.agentBackpressureBytesMax,
        closeOnBackpressureLimit: true,
        perMessageDeflate: false,
        // Our own ping has a deadline and a meaning for placement; Bun's would only close silent sockets.
        sendPings: false,
        idleTimeout: 0,
        open: socket => this.#open(socket),
        message: (socket, data) =>
          this.#handle(socket.data, { type: 'received', what: decodeFromAgent(data) }),
        pong: socket => this.#handle(socket.data, { type: 'pong' }),
        close: socket => this.#closed(socket.data),
      },
    })
  }

  get port(): number {
    return this.#server.port ?? 0
  }

  tick(): void {
    for (const connection of this.#connections) this.#handle(connection, { type: 'tick' })
  }

  async stop(): Promise<void> {
    await this.#server.stop(true)
  }

  #upgrade(request: Request, server: Server<Connection>): Response | undefined {
    if (URL.parse(request.url)?.pathname !== '/agent')
      return new Response('agents connect to /agent\n', { status: 404 })
    if (this.#strangers() >= strangersMax)
      return new Response('too many connections\n', { status: 503 })
    const data = new Connection(server.requestIP(request)?.address ?? 'unknown')
    if (server.upgrade(request, { data })) return undefined
    return new Response('this is a WebSocket endpoint for agents\n', { status: 426 })
  }

  #strangers(): number {
    let strangers = 0
    for (const connection of this.#connections) if (connection.agentId === null) strangers++
    return strangers
  }

  #open(socket: Socket): void {
    const connection = socket.data
    connection.socket = socket
    this.#connections.add(connection)
    const nonce = crypto.getRandomValues(new Uint8Array(limits.nonceBytes))
    this.#handle(connection, { type: 'opened', nonce: Buffer.from(nonce).toString('base64') })
  }

  #closed(connection: Connection): void {
    this.#connections.delete(connection)
    connection.socket = null
    if (connection.agentId !== null) this.#deps.dispatcher.agentGone(connection.agentId, connection)
  }

  #handle(connection: Connection, event: SessionEvent): void {
    for (const command of connection.session.handle(event, this.#deps.clock.now()))
      this.#perform(connection, command)
  }

  #perform(connection: Connection, command: SessionCommand): void {
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
      }
    }
  }

  async #checkIdentity(
    connection: Connection,
    { hello, nonce, version }: Extract<SessionCommand, { type: 'check_identity' }>,
  ): Promise<void> {
    const { checkIdentity, tls, log } = this.#deps
    let outcome: AgentRecord | Failure
    try {
      const { caFingerprint } = tls
      outcome = await checkIdentity({ hello, nonce, version, caFingerprint })
    } catch (error) {
      log.error('the registry could not be read', errorFields(error))
      outcome = { code: 'internal', message: 'the registry cannot be read; try again' }
    }
    this.#handle(connection, { type: 'identity', outcome })
  }
}

/** SSL_OP_NO_TICKET: without it a client whose certificate has expired or was revoked resumes its session. */
const sslOpNoTicket = 0x4000

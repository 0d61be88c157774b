import type { Server } from 'bun'
import { limits } from '../../protocol/limits.ts'
import { errorFields } from '../log.ts'
import type { TlsIdentity } from '../tls/authority.ts'
import {
  AgentConnection,
  AgentConnections,
  type AgentConnectionsDeps,
} from './agent-connections.ts'

export type AgentListenerDeps = Omit<AgentConnectionsDeps, 'caFingerprint' | 'nonce'> & {
  readonly tls: TlsIdentity
}

/**
 * The listener that agents keep their one connection to: `wss://HOST:PORT/agent`. Sockets alone; what comes through
 * them is AgentConnections' business.
 */
export class AgentListener {
  readonly #connections: AgentConnections
  readonly #server: Server<AgentConnection>

  /** @throws an Error with code EADDRINUSE when the port is taken */
  constructor(deps: AgentListenerDeps, host: string, port: number) {
    const { caFingerprint, certPem, keyPem } = deps.tls
    const connections = new AgentConnections({ ...deps, caFingerprint, nonce: newNonce })
    this.#connections = connections
    this.#server = Bun.serve<AgentConnection>({
      hostname: host,
      port,
      tls: {
        cert: certPem,
        key: keyPem,
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
        open: socket => connections.opened(socket.data, socket),
        message: (socket, data) => connections.received(socket.data, data),
        pong: socket => connections.ponged(socket.data),
        close: (socket, code) => connections.closed(socket.data, code),
      },
    })
  }

  get port(): number {
    return this.#server.port ?? 0
  }

  tick(): void {
    this.#connections.tick()
  }

  async stop(): Promise<void> {
    await this.#server.stop(true)
  }

  #upgrade(request: Request, server: Server<AgentConnection>): Response | undefined {
    if (URL.parse(request.url)?.pathname !== '/agent')
      return new Response('agents connect to /agent\n', { status: 404 })
    if (this.#connections.isFull) return new Response('too many connections\n', { status: 503 })
    if (server.upgrade(request, { data: new AgentConnection() })) return undefined
    return new Response('this is a WebSocket endpoint for agents\n', { status: 426 })
  }
}

const newNonce = (): string =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(limits.nonceBytes))).toString('base64')

/** SSL_OP_NO_TICKET: without it a client whose certificate has expired or was revoked resumes its session. */
const sslOpNoTicket = 0x4000

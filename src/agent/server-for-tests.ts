import type { AgentMessage } from '../protocol/agent-message.ts'
import { decodeFromAgent, encodeServerMessage, type Refusal } from '../protocol/codec.ts'
import type { ServerMessage } from '../protocol/server-message.ts'
import type { TokenFrames } from '../protocol/token-frames.ts'
import { Inbox } from './inbox-for-tests.ts'

type Said = AgentMessage | TokenFrames | Refusal
type Socket = Bun.ServerWebSocket<undefined>

/** A server that speaks the protocol over TLS: it challenges by itself, the test says the rest. */
export class TestServer {
  readonly said = new Inbox<Said>()
  readonly closings = new Inbox<{ code: number; reason: string }>()
  readonly #sockets = new Inbox<Socket>()
  readonly #server: Bun.Server<undefined>

  constructor(tls: { cert: string; key: string }) {
    this.#server = Bun.serve<undefined>({
      hostname: '127.0.0.1',
      port: 0,
      tls,
      fetch: (request, self) =>
        self.upgrade(request) ? undefined : new Response('', { status: 400 }),
      websocket: {
        open: socket => {
          this.#sockets.put(socket)
          const challenge = { type: 'challenge', nonce: 'bm9uY2U=', versions: [1], features: [] }
          socket.sendText(encodeServerMessage(challenge as ServerMessage))
        },
        message: (_, data) => this.said.put(decodeFromAgent(data)),
        close: (_, code, reason) => this.closings.put({ code, reason }),
      },
    })
  }

  get port(): number {
    return this.#server.port ?? 0
  }

  /** Waits for an agent and lets it in. */
  async admit(adminState: 'active' | 'draining' = 'active', features: string[] = []) {
    const socket = await this.#sockets.next()
    const hello = await this.said.until('hello')
    const send = (message: ServerMessage) => void socket.sendText(encodeServerMessage(message))
    send({
      type: 'welcome',
      version: 1,
      features,
      heartbeatIntervalMs: 30_000,
      name: 'desk',
      adminState,
    })
    return { hello, send, close: () => socket.close(1001, 'test') }
  }

  async refuse(retryAfterMs: number | null): Promise<void> {
    const socket = await this.#sockets.next()
    await this.said.until('hello')
    const error = { code: 'unauthorized', message: 'revoked' }
    socket.sendText(encodeServerMessage({ type: 'refused', error, retryAfterMs }))
  }

  async stop(): Promise<void> {
    await this.#server.stop(true)
  }
}

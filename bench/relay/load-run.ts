import type { Socket } from 'bun'
import { say } from '../harness/orders.ts'
import type { LoadOrder, Target } from './load.ts'
import { SseResponse } from './sse-response.ts'

/** The finish and [DONE]. */
const closingEvents = 2
/** Events that are not tokens: the role and the closing ones. */
const otherEvents = 1 + closingEvents
/** The role is the first event, the first token the second. */
const eventsAtFirstToken = 2

type Request = {
  readonly response: SseResponse
  readonly sentAt: number
  firstAt: number | null
  lastAt: number
}
type Connection = { request: Request | null; socket: Socket<Connection> | null }

/** Idle connections by port: as real clients do, a connection serves one request after the other. */
const idle = new Map<number, Connection[]>()

/** One order of the load client, on raw sockets: its reading must cost less than the relay's writing. */
export class LoadRun {
  readonly ttftMs: number[] = []
  readonly gapsMs: number[] = []
  readonly endsMs: number[] = []
  tokens = 0
  failed = 0
  firstProblem: string | null = null
  readonly #order: LoadOrder
  readonly #bytes: Buffer
  readonly #finished = Promise.withResolvers<void>()
  #ended = 0

  constructor(order: LoadOrder) {
    this.#order = order
    this.#bytes = requestBytes(order)
    const { startWithinMs, streams } = order
    if (startWithinMs === null) void this.#start()
    else
      for (let i = 0; i < streams; i++)
        setTimeout(() => void this.#start(), (i * startWithinMs) / streams)
  }

  /** Resolves when every stream has ended, well or not. */
  get finished(): Promise<void> {
    return this.#finished.promise
  }

  async #start(): Promise<void> {
    const { port } = this.#order.target
    const connection = idle.get(port)?.pop() ?? { request: null, socket: null }
    const handler = this.#handler()
    try {
      connection.socket ??= await Bun.connect<Connection>({
        hostname: '127.0.0.1',
        port,
        data: connection,
        socket: handler,
      })
    } catch (error) {
      this.#streamEnded(String(error))
      return
    }
    const { socket } = connection
    socket.reload({ socket: handler })
    socket.setNoDelay(true)
    const sentAt = performance.now()
    connection.request = { response: new SseResponse(), sentAt, firstAt: null, lastAt: sentAt }
    socket.write(this.#bytes)
  }

  #handler(): Bun.SocketHandler<Connection> {
    return {
      data: ({ data }, bytes) => this.#read(data, bytes),
      close: ({ data }) => {
        const broken = data.request !== null
        data.request = null
        data.socket = null
        const pool = idle.get(this.#order.target.port)
        const at = pool?.indexOf(data) ?? -1
        if (at >= 0) pool?.splice(at, 1)
        if (broken) this.#streamEnded('the connection was closed')
      },
    }
  }

  #read(connection: Connection, bytes: Buffer): void {
    const { request } = connection
    if (request === null) return
    const now = performance.now()
    const { response } = request
    const eventsBefore = response.events
    const end = response.push(bytes)
    if (request.firstAt === null) {
      if (response.events >= eventsAtFirstToken) this.#firstToken(request, now)
    } else if (response.events > eventsBefore + (end === null ? 0 : closingEvents)) {
      this.gapsMs.push(now - request.lastAt)
      request.lastAt = now
    }
    if (end !== null) this.endsMs.push(now - request.lastAt)
    this.tokens += response.events - eventsBefore
    if (end === null) return
    connection.request = null
    this.tokens -= Math.min(otherEvents, response.events)
    const tokens = response.events - otherEvents
    if (end.complete) this.#keep(connection)
    else connection.socket?.end()
    this.#streamEnded(
      end.problem ??
        (tokens === this.#order.tokens
          ? null
          : `a stream had ${tokens} tokens instead of ${this.#order.tokens}`),
    )
  }

  #firstToken(request: Request, now: number): void {
    request.firstAt = now
    request.lastAt = now
    this.ttftMs.push(now - request.sentAt)
    const { streams, startWithinMs } = this.#order
    if (startWithinMs !== null && this.ttftMs.length === streams) this.#sayAllRunning()
  }

  #sayAllRunning(): void {
    say({ event: 'all_running', tokens: this.tokens })
  }

  #keep(connection: Connection): void {
    const { port } = this.#order.target
    const pool = idle.get(port)
    if (pool === undefined) idle.set(port, [connection])
    else pool.push(connection)
  }

  #streamEnded(problem: string | null): void {
    if (problem !== null) {
      this.failed++
      this.firstProblem ??= problem
    }
    const { streams, startWithinMs } = this.#order
    this.#ended++
    if (this.#ended === 1 && startWithinMs !== null)
      say({ event: 'first_ended', tokens: this.tokens })
    if (this.#ended === streams) {
      // A stream that failed had no first token; the harness waits for both moments all the same.
      if (startWithinMs !== null && this.ttftMs.length < streams) this.#sayAllRunning()
      this.#finished.resolve()
    } else if (startWithinMs === null) void this.#start()
  }
}

function requestBytes({ target, tokens, intervalMs }: LoadOrder): Buffer {
  const body = JSON.stringify({
    model: target.model,
    stream: true,
    max_tokens: tokens,
    // The mocks read their rhythm from it.
    top_p: intervalMs / 1_000,
    messages: [{ role: 'user', content: 'Tell me a story.' }],
  })
  return Buffer.from(`${headLines(target, body.length).join('\r\n')}\r\n\r\n${body}`)
}

const headLines = ({ port, key }: Target, bodyBytes: number): readonly string[] => [
  'POST /v1/chat/completions HTTP/1.1',
  `host: 127.0.0.1:${port}`,
  'content-type: application/json',
  `content-length: ${bodyBytes}`,
  ...(key === null ? [] : [`authorization: Bearer ${key}`]),
]

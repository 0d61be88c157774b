import { decodeFromServer } from '../protocol/codec.ts'
import { agentLimits } from './agent-limits.ts'
import type { ConnectionEvent } from './connection-event.ts'
import type { Timers } from './timers.ts'

export type TransportEvent = Extract<
  ConnectionEvent,
  { type: 'socket_opened' | 'socket_closed' | 'received' }
>

export type TransportOptions = {
  /** `wss://HOST:PORT/agent` */
  readonly url: string
  /** The only certificate authority that is trusted. */
  readonly caPem: string
  readonly timers: Timers
  readonly onEvent: (event: TransportEvent) => void
}

/**
 * The WebSocket under a Connection: opens what it is told, hands on what comes, decides nothing. A socket that was
 * told to close reports nothing more, and neither does one whose place a newer one has taken.
 */
export class Transport {
  readonly #options: TransportOptions
  #current: { readonly number: number; readonly socket: WebSocket } | undefined
  /** Sockets in their closing handshake, with the way to drop them. */
  readonly #closing = new Map<WebSocket, () => void>()
  #onIdle: (() => void) | undefined

  constructor(options: TransportOptions) {
    this.#options = options
  }

  open(number: number): void {
    const { url, caPem, onEvent } = this.#options
    const socket = new WebSocket(url, { tls: { ca: caPem }, perMessageDeflate: false })
    this.#current = { number, socket }
    let trouble = ''
    const isCurrent = () => this.#current?.socket === socket
    socket.binaryType = 'nodebuffer'
    socket.addEventListener('open', () => {
      if (isCurrent()) onEvent({ type: 'socket_opened', socket: number })
    })
    socket.addEventListener('message', ({ data }: MessageEvent<string | Buffer>) => {
      if (isCurrent()) onEvent({ type: 'received', socket: number, what: decodeFromServer(data) })
    })
    socket.addEventListener('error', event => {
      trouble = 'message' in event ? String(event.message) : ''
    })
    socket.addEventListener('close', ({ code, reason }) => {
      this.#closing.get(socket)?.()
      if (!isCurrent()) return
      this.#current = undefined
      onEvent({ type: 'socket_closed', socket: number, reason: describeEnd(code, reason, trouble) })
    })
  }

  /** Says goodbye and drops the socket when the other side does not answer in time. */
  close(number: number, code: number, reason: string): void {
    if (this.#current?.number !== number) return
    const { socket } = this.#current
    this.#current = undefined
    const cancelTimer = this.#options.timers.after(agentLimits.socketCloseTimeoutMs, () =>
      socket.terminate(),
    )
    this.#closing.set(socket, () => {
      this.#closing.delete(socket)
      cancelTimer()
      if (this.#closing.size === 0) this.#onIdle?.()
    })
    socket.close(code, clipUtf8(reason, closeReasonBytesMax))
  }

  /** Resolves when every goodbye has been answered or given up. */
  async goodbyesSaid(): Promise<void> {
    if (this.#closing.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onIdle = resolve
    await promise
  }

  /** Writes to the open socket: text for JSON, bytes for token frames as they came. Without a socket: dropped. */
  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#current === undefined) return
    const { number, socket } = this.#current
    socket.send(data)
    const waitingBytes = socket.bufferedAmount
    if (waitingBytes <= agentLimits.socketBufferedBytesMax) return
    this.#current = undefined
    socket.terminate()
    const reason = `${waitingBytes} bytes wait to be sent; the connection is too slow`
    // Not from inside the write: the caller may be in the middle of handling another event.
    queueMicrotask(() => this.#options.onEvent({ type: 'socket_closed', socket: number, reason }))
  }
}

/** RFC 6455: a close frame carries 125 bytes, two of them the code. */
const closeReasonBytesMax = 123

function clipUtf8(text: string, bytesMax: number): string {
  let clipped = text
  while (Buffer.byteLength(clipped) > bytesMax) clipped = clipped.slice(0, -1)
  return clipped
}

function describeEnd(code: number, reason: string, trouble: string): string {
  if (trouble !== '') return trouble
  return reason === '' ? `the connection was closed (code ${code})` : `${reason} (code ${code})`
}

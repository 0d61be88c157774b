import { createServer, type Server, type TLSSocket } from 'node:tls'

/** What goes wrong with one request; `at` is a place in what is sent, 0 to 1. */
export type Fault =
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'stall'; readonly at: number }
  | { readonly kind: 'restart'; readonly at: number }
  | { readonly kind: 'flipped_byte'; readonly at: number }
  | { readonly kind: 'truncated'; readonly at: number }
  | { readonly kind: 'wrong_length' }
  | { readonly kind: 'no_range'; readonly at: number }
  | { readonly kind: 'wrong_range' }
  | { readonly kind: 'redirect' }
  | { readonly kind: 'redirect_loop' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'garbage' }

export type FaultyServerOptions = {
  readonly tls: { readonly cert: string; readonly key: string }
  readonly content: Uint8Array
  /** A transfer hangs: let the deadline pass. Called in turns until the other side has hung up. */
  readonly onStalled: () => void
  /** Called when the body was half sent; the rest waits for it. */
  readonly onHalfway?: () => Promise<void>
}

/** Serves one file over TLS byte by byte as told, one fault a request; without faults it is honest. */
export class FaultyFileServer {
  readonly #options: FaultyServerOptions
  readonly #sockets = new Set<TLSSocket>()
  #server: Server
  #port = 0
  faults: Fault[] = []
  requests = 0

  constructor(options: FaultyServerOptions) {
    this.#options = options
    this.#server = this.#create()
  }

  get origin(): string {
    return `https://127.0.0.1:${this.#port}`
  }

  async listen(): Promise<void> {
    const listening = Promise.withResolvers<void>()
    this.#server.once('error', listening.reject)
    this.#server.listen(this.#port, '127.0.0.1', listening.resolve)
    await listening.promise
    const address = this.#server.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
  }

  async stop(): Promise<void> {
    const closed = Promise.withResolvers<void>()
    this.#server.close(() => closed.resolve())
    for (const socket of this.#sockets) socket.destroy()
    await closed.promise
  }

  #create(): Server {
    return createServer({ ...this.#options.tls }, socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      // The agent hangs up when it has seen enough.
      socket.on('error', () => socket.destroy())
      let head = ''
      socket.on('data', (piece: Buffer) => {
        head += piece.toString('latin1')
        if (!head.includes('\r\n\r\n')) return
        const request = head
        head = ''
        void this.#answer(socket, request)
      })
    })
  }

  async #answer(socket: TLSSocket, head: string): Promise<void> {
    this.requests++
    const { content } = this.#options
    const looping = head.startsWith('GET /loop')
    const fault: Fault | undefined = looping ? { kind: 'redirect_loop' } : this.faults.shift()
    const asked = Number(/^range: bytes=(\d+)-/im.exec(head)?.[1] ?? 0)
    const start = fault?.kind === 'no_range' ? 0 : asked
    const body = content.slice(start)
    const at = Math.floor((fault !== undefined && 'at' in fault ? fault.at : 1) * body.length)
    switch (fault?.kind) {
      case 'redirect':
        return end(socket, '307 Elsewhere', { location: '/again' })
      case 'redirect_loop':
        return end(socket, '302 Elsewhere', { location: '/loop' })
      case 'busy':
        return end(socket, '503 Busy', {})
      case 'garbage':
        socket.end('this is no HTTP\r\n\r\n')
        return
      case 'wrong_range': {
        const range = `bytes ${start + 1}-${content.length - 1}/${content.length}`
        return end(socket, '206 Partial', { 'content-range': range }, body.slice(1))
      }
      case 'wrong_length':
        socket.write(headOf(start, content.length, body.length + 7))
        socket.end(body)
        return
      case 'truncated':
        socket.write(headOf(start, content.length, at))
        socket.end(body.slice(0, at))
        return
      case 'flipped_byte':
        if (body.length > 0) body[Math.min(at, body.length - 1)]! ^= 1
        break
      case undefined:
      case 'cut':
      case 'no_range':
      case 'restart':
      case 'stall':
    }
    socket.write(headOf(start, content.length, body.length))
    if (fault?.kind === 'stall') return await this.#stall(socket, body.slice(0, at))
    if (fault?.kind === 'cut' || fault?.kind === 'no_range' || fault?.kind === 'restart') {
      await written(socket, body.slice(0, at))
      socket.destroy()
      if (fault.kind === 'restart') await this.#restart()
      return
    }
    const half = body.length >> 1
    await written(socket, body.slice(0, half))
    await this.#options.onHalfway?.()
    socket.end(body.slice(half))
  }

  async #stall(socket: TLSSocket, piece: Uint8Array): Promise<void> {
    await written(socket, piece)
    while (!socket.destroyed && this.#sockets.has(socket)) {
      this.#options.onStalled()
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  async #restart(): Promise<void> {
    await this.stop()
    this.#server = this.#create()
    await this.listen()
  }
}

function headOf(start: number, sizeBytes: number, length: number): string {
  const range = start > 0 ? `content-range: bytes ${start}-${sizeBytes - 1}/${sizeBytes}\r\n` : ''
  const status = start > 0 ? '206 Partial' : '200 OK'
  return `HTTP/1.1 ${status}\r\n${range}content-length: ${length}\r\nconnection: close\r\n\r\n`
}

function end(
  socket: TLSSocket,
  status: string,
  headers: Readonly<Record<string, string>>,
  body = new Uint8Array(),
): void {
  const lines = Object.entries({ ...headers, 'content-length': String(body.length) })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.write(`HTTP/1.1 ${status}\r\n${head}connection: close\r\n\r\n`)
  socket.end(body)
}

/** Resolves when the bytes are out, or the other side has gone. */
function written(socket: TLSSocket, bytes: Uint8Array): Promise<void> {
  return new Promise(resolve => {
    socket.once('close', () => resolve())
    socket.write(bytes, () => resolve())
  })
}

import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/**
 * A line to a server that can be held: after so many bytes towards the client nothing passes any more, until it is let go.
 * So a test can do something in the middle of a transfer, however fast it is.
 */
export class HeldLine {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #whenEmpty: (() => void)[] = []
  #leftBytes = Infinity
  /** Bytes towards clients since the last `holdAfter` or `letGo`. */
  passedBytes = 0

  private constructor(targetPort: number) {
    this.#server = createServer(client => this.#join(client, targetPort))
  }

  static async to(targetPort: number): Promise<HeldLine> {
    const line = new HeldLine(targetPort)
    await new Promise<void>(resolve => line.#server.listen(0, '127.0.0.1', resolve))
    return line
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  holdAfter(bytes: number): void {
    this.passedBytes = 0
    this.#leftBytes = bytes
  }

  letGo(): void {
    this.holdAfter(Infinity)
    for (const socket of this.#sockets) socket.resume()
  }

  /** Resolves when nobody is connected: a killed client's connection is noticed a moment after its process is gone. */
  async empty(): Promise<void> {
    if (this.#sockets.size > 0) await new Promise<void>(resolve => this.#whenEmpty.push(resolve))
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #join(client: Socket, targetPort: number): void {
    const target = connect(targetPort, '127.0.0.1')
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      this.#sockets.add(socket)
      // Either side may be killed at any moment; the other then hears that the line is gone.
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
        if (this.#sockets.size === 0) for (const tell of this.#whenEmpty.splice(0)) tell()
      })
    }
    client.on('data', bytes => target.write(bytes))
    target.on('data', bytes => {
      client.write(bytes)
      this.passedBytes += bytes.length
      this.#leftBytes -= bytes.length
      if (this.#leftBytes <= 0) target.pause()
    })
  }
}

import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/**
 * The network between an agent and the server. It can fall silent, as behind a pulled cable (nothing passes and nobody is
 * told), be mended, so that all that was under way arrives late, or break, so that both ends are told.
 */
export class CutLine {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #silent = false

  private constructor(targetPort: number) {
    this.#server = createServer(client => this.#join(client, targetPort))
  }

  static async to(targetPort: number): Promise<CutLine> {
    const line = new CutLine(targetPort)
    await new Promise<void>(resolve => line.#server.listen(0, '127.0.0.1', resolve))
    return line
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  fallSilent(): void {
    this.#silent = true
    for (const socket of this.#sockets) socket.pause()
  }

  mend(): void {
    this.#silent = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** Ends every connection; new ones pass. */
  break(): void {
    this.#silent = false
    for (const socket of this.#sockets) socket.resetAndDestroy()
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
      socket.setNoDelay(true)
      socket.on('data', bytes => other.write(bytes))
      // Either side may be killed at any moment; the other then hears that the line is gone.
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
      if (this.#silent) socket.pause()
    }
  }
}

import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A line on loopback between clients and a server, for tests that disturb it. What passes, and when, its kinds decide. */
export abstract class TcpLine {
  protected readonly sockets = new Set<Socket>()
  readonly #server: Server
  readonly #whenEmpty: (() => void)[] = []

  protected constructor(targetPort: number) {
    this.#server = createServer(client => this.#join(client, targetPort))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Resolves when nobody is connected: a killed client's connection is noticed a moment after its process is gone. */
  async empty(): Promise<void> {
    if (this.sockets.size > 0) await new Promise<void>(resolve => this.#whenEmpty.push(resolve))
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  /** Connects what comes from each side with the other one. */
  protected abstract joined(client: Socket, target: Socket): void

  protected async listen(): Promise<this> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return this
  }

  #join(client: Socket, targetPort: number): void {
    const target = connect(targetPort, '127.0.0.1')
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      this.sockets.add(socket)
      // Either side may be killed at any moment; the other then hears that the line is gone.
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        this.sockets.delete(socket)
        other.destroy()
        if (this.sockets.size === 0) for (const tell of this.#whenEmpty.splice(0)) tell()
      })
    }
    this.joined(client, target)
  }
}

import type { Socket } from 'node:net'
import { TcpLine } from '../tcp-line.ts'

/**
 * The network between an agent and the server. It can fall silent, as behind a pulled cable (nothing passes and nobody is
 * told), be mended, so that all that was under way arrives late, or break, so that both ends are told.
 */
export class CutLine extends TcpLine {
  #silent = false

  static to(targetPort: number): Promise<CutLine> {
    return new CutLine(targetPort).listen()
  }

  fallSilent(): void {
    this.#silent = true
    for (const socket of this.sockets) socket.pause()
  }

  mend(): void {
    this.#silent = false
    for (const socket of this.sockets) socket.resume()
  }

  /** Ends every connection; new ones pass. */
  break(): void {
    this.#silent = false
    for (const socket of this.sockets) socket.resetAndDestroy()
  }

  protected joined(client: Socket, target: Socket): void {
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      socket.setNoDelay(true)
      socket.on('data', bytes => other.write(bytes))
      if (this.#silent) socket.pause()
    }
  }
}

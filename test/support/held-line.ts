import type { Socket } from 'node:net'
import { TcpLine } from './tcp-line.ts'

/**
 * A line to a server that can be held: after so many bytes towards the client nothing passes any more, until it is let go.
 * So a test can do something in the middle of a transfer, however fast it is.
 */
export class HeldLine extends TcpLine {
  #leftBytes = Infinity
  /** Bytes towards clients since the last `holdAfter` or `letGo`. */
  passedBytes = 0

  static to(targetPort: number): Promise<HeldLine> {
    return new HeldLine(targetPort).listen()
  }

  holdAfter(bytes: number): void {
    this.passedBytes = 0
    this.#leftBytes = bytes
  }

  letGo(): void {
    this.holdAfter(Infinity)
    for (const socket of this.sockets) socket.resume()
  }

  protected joined(client: Socket, target: Socket): void {
    client.on('data', bytes => target.write(bytes))
    target.on('data', bytes => {
      client.write(bytes)
      this.passedBytes += bytes.length
      this.#leftBytes -= bytes.length
      if (this.#leftBytes <= 0) target.pause()
    })
  }
}

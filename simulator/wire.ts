import { Pipe, type Latency } from './pipe.ts'
import type { World } from './world.ts'

/** What one end of a connection is told. */
export type WireEnd = {
  received(data: string | Uint8Array<ArrayBuffer>): void
  /** The other end, or the network, ended the connection. */
  closed(code: number, reason: string): void
}
export type AgentEnd = WireEnd & {
  opened(): void
  /** Calls back when the machine runs. */
  awake(act: () => void): void
}
export type ServerEnd = WireEnd & { ponged(): void }

/** Where connections are taken. @returns the server's end; null: nobody listens */
export type Accept = (wire: Wire) => ServerEnd | null

/** RFC 6455: there was no close frame. */
const noCloseFrame = 1006

/** One WebSocket between an agent and the server: in order while it lives, and it may die at any time. */
export class Wire {
  readonly #world: World
  readonly #up: Pipe
  readonly #down: Pipe
  #agent: AgentEnd | null
  #server: ServerEnd | null = null
  /** Before the server has taken it. */
  #isDialling = true

  constructor(world: World, latency: Latency, agent: AgentEnd) {
    this.#world = world
    this.#up = new Pipe(world, latency)
    this.#down = new Pipe(world, latency)
    this.#agent = agent
  }

  /** Whether either end still believes in it. */
  get isOpen(): boolean {
    return this.#agent !== null || this.#server !== null
  }

  dial(accept: Accept): void {
    this.#up.send(() => this.#arriveAt(accept))
  }

  sendUp(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#agent === null) return
    this.#up.send(() => {
      this.#world.trace(data)
      this.#server?.received(data)
    })
  }

  sendDown(data: string): void {
    if (this.#server === null) return
    this.#down.send(() => {
      this.#world.trace(data)
      this.#agent?.received(data)
    })
  }

  /** The other end's WebSocket answers it by itself. */
  ping(): void {
    this.#down.send(() =>
      this.#agent?.awake(() => {
        if (this.#agent !== null) this.#up.send(() => this.#server?.ponged())
      }),
    )
  }

  /** The agent says goodbye and hears no more. */
  closeByAgent(code: number): void {
    if (this.#agent === null) return
    this.#agent = null
    this.#down.loseAll()
    this.#up.send(() => this.#endServer(code, 'the agent closed'))
  }

  /** The server says goodbye. Its end hears of it at once, as with Bun's sockets. */
  closeByServer(code: number, reason: string): void {
    if (this.#server === null) return
    this.#down.send(() => this.#endAgent(code, reason))
    this.#endServer(code, reason)
  }

  /** Nothing gets through any more, in either direction, and nobody is told. */
  block(): void {
    this.#up.block()
    this.#down.block()
  }

  unblock(): void {
    this.#up.unblock()
    this.#down.unblock()
  }

  /** Both ends are told, each in its own time; what was last on its way is lost. */
  reset(): void {
    this.#up.loseSuffix()
    this.#down.loseSuffix()
    this.#up.send(() => this.#endServer(noCloseFrame, 'connection reset'))
    this.#down.send(() => this.#endAgent(noCloseFrame, 'connection reset'))
  }

  /** The agent's process is gone. @param isTold whether its system can still say so */
  agentDies(isTold: boolean): void {
    this.#agent = null
    this.#down.loseAll()
    this.#up.loseSuffix()
    if (isTold) this.#up.send(() => this.#endServer(noCloseFrame, 'connection reset'))
  }

  serverDies(): void {
    this.#server = null
    this.#up.loseAll()
    this.#down.loseSuffix()
    this.#down.send(() => this.#endAgent(noCloseFrame, 'connection reset'))
  }

  #arriveAt(accept: Accept): void {
    if (!this.#isDialling || this.#agent === null) return
    this.#isDialling = false
    // The agent's end is open before the server's first word is there.
    this.#down.send(() => this.#agent?.opened())
    this.#server = accept(this)
    if (this.#server !== null) return
    this.#down.loseAll()
    this.#down.send(() => this.#endAgent(noCloseFrame, 'nobody listens there'))
  }

  #endServer(code: number, reason: string): void {
    const server = this.#server
    this.#server = null
    this.#up.loseAll()
    server?.closed(code, reason)
  }

  #endAgent(code: number, reason: string): void {
    const agent = this.#agent
    this.#agent = null
    this.#down.loseAll()
    agent?.closed(code, reason)
  }
}

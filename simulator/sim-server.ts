import type { Failure } from '../src/protocol/errors.ts'
import type { InstanceId } from '../src/protocol/ids.ts'
import { AgentConnection, AgentConnections } from '../src/server/control/agent-connections.ts'
import type { Proof } from '../src/server/control/identity.ts'
import type { Log, LogFields } from '../src/server/log.ts'
import { Metrics } from '../src/server/metrics.ts'
import { assemblePool, type Pool } from '../src/server/pool/assemble-pool.ts'
import { housekeepingIntervalMs, keepHouse } from '../src/server/pool/housekeeping.ts'
import type { AgentRecord, Store } from '../src/server/store/store.ts'
import { streamTickIntervalMs, tickIntervalMs } from '../src/server/timers.ts'
import { Assignments } from './assignments.ts'
import type { Disk } from './disk.ts'
import type { Story } from './story.ts'
import type { ServerEnd, Wire } from './wire.ts'
import type { World } from './world.ts'

export type SimServerDeps = {
  readonly world: World
  readonly story: Story
  readonly disk: Disk
  /** The server is about to send this to an agent. */
  readonly onSend: (server: SimServer, connection: AgentConnection, text: string) => void
}

/** As start-server.ts has them. */
const registryFlushIntervalMs = 5_000
const drainTimeoutMs = 5_000

/**
 * One process of the server: the real pool, sessions and clockwork, on a simulated disk and network. `die` is a kill: what
 * the store has not committed is gone.
 */
export class SimServer {
  readonly #deps: SimServerDeps
  readonly #store: Store
  readonly #wires = new Set<Wire>()
  readonly #timers: (() => void)[] = []
  #pool: Pool | null = null
  #connections: AgentConnections | null = null
  #isAlive = true
  #isListening = true
  /** Jobs whose end it has settled. */
  readonly settled = new Set<string>()
  readonly assignments = new Assignments()

  constructor(deps: SimServerDeps) {
    this.#deps = deps
    const store = deps.disk.open(() => this.#isAlive)
    this.#store = {
      ...store,
      settleRequest: request => {
        if (this.settled.has(request.jobId))
          deps.world.violated(`${request.jobId} is settled twice`)
        this.settled.add(request.jobId)
        return store.settleRequest(request)
      },
    }
  }

  /** Null: it has not started, or it is gone. */
  get pool(): Pool | null {
    return this.#isAlive ? this.#pool : null
  }

  /** @returns whether it runs: a server whose database is gone does not start */
  async start(): Promise<boolean> {
    const { world, story } = this.#deps
    const { random, now } = world
    const clock = { now }
    let pool: Pool
    try {
      pool = await assemblePool({
        clock,
        log: this.#log(),
        store: this.#store,
        // Off by default; here it is to happen.
        hedge: true,
        createJoinLink: () => Promise.reject(new Error('nobody joins here')),
        random: {
          instanceId: () => random.uuid() as InstanceId,
          firstStream: () => random.bits(),
          poisonSecret: () => Uint8Array.from({ length: 32 }, () => random.bits()),
        },
        createMetrics: counts => new Metrics(counts, false),
      })
    } catch (error) {
      story.tell('server', () => `does not start: ${String(error)}`)
      this.#isAlive = false
      return false
    }
    this.#pool = pool
    this.#connections = new AgentConnections({
      clock,
      log: this.#log(),
      dispatcher: pool.dispatcher,
      caFingerprint: '',
      checkIdentity: proof => this.#checkIdentity(proof),
      nonce: () => random.uuid(),
    })
    this.#startClockwork(pool, this.#connections)
    story.tell('server', () => 'runs')
    return true
  }

  /** A connection wants in. */
  readonly accept = (wire: Wire): ServerEnd | null => {
    const connections = this.#connections
    if (!this.#isListening || connections === null || connections.isFull) return null
    const connection = new AgentConnection()
    this.#wires.add(wire)
    // Only when the socket is there for both.
    queueMicrotask(() =>
      connections.opened(connection, {
        sendText: text => {
          this.assignments.sent(connection, text)
          this.#deps.onSend(this, connection, text)
          wire.sendDown(text)
        },
        ping: () => wire.ping(),
        close: (code, reason) => wire.closeByServer(code, reason),
      }),
    )
    return {
      received: data => {
        this.assignments.received(connection, data)
        connections.received(connection, data)
      },
      ponged: () => connections.ponged(connection),
      closed: (code, _reason) => {
        this.#wires.delete(wire)
        this.assignments.closed(connection)
        connections.closed(connection, code)
      },
    }
  }

  /** Killed: no word to anybody. */
  die(): void {
    this.#end()
  }

  /** As an operator restarts it: everybody is told, and what has ended is stored. */
  async stop(): Promise<void> {
    const pool = this.#pool
    if (pool === null || !this.#isAlive) return
    pool.agents.sendAll({
      type: 'restarting',
      reconnectAfterMinMs: 500,
      reconnectAfterMaxMs: 5_000,
    })
    pool.dispatcher.shutDown()
    await Promise.race([pool.settlement.drained(), this.#elapsed(drainTimeoutMs)])
    this.#isListening = false
    for (const wire of this.#wires) wire.closeByServer(1001, 'the server restarts')
    await pool.registry.flush()
    this.#end()
  }

  #end(): void {
    this.#isAlive = false
    this.#isListening = false
    for (const cancel of this.#timers) cancel()
    for (const wire of this.#wires) wire.serverDies()
  }

  #startClockwork(pool: Pool, connections: AgentConnections): void {
    const { world } = this.#deps
    const tidyUp = () =>
      void keepHouse(this.#store, world.now()).catch((error: unknown) =>
        this.#deps.story.tell('server', () => `cannot tidy up: ${String(error)}`),
      )
    tidyUp()
    this.#timers.push(
      world.every(streamTickIntervalMs, () => pool.dispatcher.tick()),
      world.every(tickIntervalMs, () => {
        pool.reliability.tick(world.now())
        connections.tick()
      }),
      world.every(registryFlushIntervalMs, () => void pool.registry.flush()),
      world.every(housekeepingIntervalMs, tidyUp),
    )
  }

  async #checkIdentity({ hello }: Proof): Promise<AgentRecord | Failure> {
    const agent = await this.#store.getAgent(hello.agentId)
    return agent ?? { code: 'unauthorized', message: 'this pool does not know the agent' }
  }

  #elapsed(ms: number): Promise<void> {
    return new Promise(resolve => this.#deps.world.after(ms, resolve))
  }

  #log(): Log {
    const { story } = this.#deps
    const tell: Log['info'] = (event, fields) => story.tell('server', () => readable(event, fields))
    return { debug: () => {}, info: tell, warn: tell, error: tell }
  }
}

/** Fields that tell a reader of the story nothing: names stand beside the ids, and times at the beginning of the line. */
const untold: readonly string[] = ['agentId', 'agentName', 'keyId', 'jobId', 'instanceId', 'stack']

function readable(event: string, fields: LogFields = {}): string {
  const { agentName, jobId } = fields
  const whose = agentName ?? jobId?.slice(0, 8) ?? ''
  const rest = Object.entries(fields)
    .filter(([name]) => !untold.includes(name))
    .map(([name, value]) => (name === 'reason' ? String(value) : `${name} ${value}`))
  return `${event} ${whose} ${rest.join(', ')}`
}

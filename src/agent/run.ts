import { readMemory } from '../gpu/machine.ts'
import { encodeAgentMessage } from '../protocol/codec.ts'
import type { Inventory } from '../protocol/gpu.ts'
import type { AgentDeps } from './agent-deps.ts'
import { agentLimits } from './agent-limits.ts'
import type { ConnectionCommand, ConnectionEvent } from './connection-event.ts'
import { Connection } from './connection.ts'
import { createStartWatched } from './engine/watched-engine.ts'
import { noEngines } from './external/engine-settings.ts'
import { ExternalEngines } from './external/external-engines.ts'
import { buildHeartbeat, countSlots } from './heartbeat.ts'
import { buildHello } from './hello.ts'
import { FrameOutlet } from './frame-outlet.ts'
import { gpuMemoryOf } from './gpu-memory.ts'
import { InstanceHost } from './instance-host.ts'
import { instanceOverview } from './instance-overview.ts'
import { localControlPath, serveLocalControl, type AgentStatus } from './local-control.ts'
import { MachineWatch } from './machine-watch.ts'
import { ModelFiles } from './model-files.ts'
import { ModelShelf } from './model-shelf.ts'
import { answerShelf } from './models/shelf-request.ts'
import { Quarantine } from './quarantine.ts'
import { SleepWatch } from './sleep-watch.ts'
import { software } from './software.ts'
import { modelsDirOf } from './state-dir.ts'
import { Transport } from './transport.ts'

export type RunningAgent = {
  /** Resolves with the exit code: 0 after `stop`, 3 when the pool refused this agent for good. */
  readonly ended: Promise<number>
  stop(): void
}

export const exitCodeRefused = 3

/**
 * Starts the agent: local control, device readings, and the connection that never gives up.
 * @throws StateError when the local control socket cannot be made
 */
export async function startAgent(deps: AgentDeps): Promise<RunningAgent> {
  const agent = new Agent(deps)
  await agent.start()
  return agent
}

/** Wires the pure parts to sockets, timers and processes. Decides nothing itself. */
class Agent implements RunningAgent {
  readonly #deps: AgentDeps
  readonly #connection = new Connection()
  readonly #transport: Transport
  readonly #host: InstanceHost
  readonly #shelf: ModelShelf
  readonly #frames: FrameOutlet
  readonly #machine: MachineWatch
  readonly #external: ExternalEngines
  readonly #quarantine: Quarantine
  readonly #sleepWatch: SleepWatch
  readonly #startedAt: number
  readonly #ended = Promise.withResolvers<number>()
  readonly #server: string
  #closeControl: () => void = () => {}
  #cancelTick: () => void = () => {}
  #cancelSleepCheck: () => void = () => {}
  #stopping = false
  #toldInventory: Inventory | null = null

  constructor(deps: AgentDeps) {
    const { clock, wallClock, timers, enrolment, log } = deps
    const { identity, caPem } = enrolment
    this.#deps = deps
    this.#quarantine = new Quarantine(deps.dir, deps.engineVersion, log)
    this.#startedAt = clock.now()
    this.#server = `wss://${new URL(identity.origin).hostname}:${identity.controlPort}`
    this.#sleepWatch = new SleepWatch(wallClock.now(), clock.now())
    this.#machine = new MachineWatch(deps, {
      modelsLoaded: () => this.#host.modelsLoaded,
      onInventory: () => this.#tellInventory(),
      onHeat: change => this.#heatChanged(change),
    })
    this.#transport = new Transport({
      url: `${this.#server}/agent`,
      caPem,
      timers,
      onEvent: event => this.#handle(event),
    })
    this.#external = new ExternalEngines({
      ...deps,
      settings: deps.engines ?? noEngines,
      onChange: () => this.#tellExternal(),
    })
    this.#frames = new FrameOutlet({
      clock,
      timers,
      send: message => this.#transport.send(message),
    })
    const modelsDir = modelsDirOf(deps.dir)
    this.#shelf = new ModelShelf({
      ...deps,
      modelsDir,
      budgetBytes: deps.diskBudgetBytes ?? null,
      inUse: () => new Set(this.#host.held.map(({ load }) => load.manifest.sha256)),
    })
    this.#host = new InstanceHost({
      ...deps,
      startEngine: createStartWatched(deps.startEngine, {
        clock,
        timers,
        limits: agentLimits.workerSilence,
      }),
      startExternal: this.#external.start,
      quarantine: this.#quarantine,
      modelFiles: new ModelFiles({ ...deps, modelsDir, identity, caPem, shelf: this.#shelf }),
      chooseThreads: () => this.#machine.threads,
      availableBytes: () => readMemory().availableBytes,
      gpuMemory: () => gpuMemoryOf(this.#machine.inventory.gpus),
      onActivity: () => this.#tellActivity(),
      say: message => this.#handle({ type: 'say', message }),
      sendFrame: frame => this.#sendFrame(frame),
    })
  }

  get ended(): Promise<number> {
    return this.#ended.promise
  }

  async start(): Promise<void> {
    const path = localControlPath(this.#deps.dir)
    const more = (line: string) => answerShelf(this.#shelf, line)
    const control = await serveLocalControl(path, () => this.#status(), more)
    this.#closeControl = () => control.close()
    this.#machine.start()
    // Before the agent is online, so that what it offers is known with its first word; each answers within seconds.
    await this.#external.look()
    this.#machine.lookAtCpus()
    this.#watchSleep()
    this.#handle({ type: 'start' })
  }

  stop(): void {
    void this.#stop(0)
  }

  #handle(event: ConnectionEvent): void {
    const { clock, random } = this.#deps
    for (const command of this.#connection.handle(event, clock.now(), random()))
      this.#perform(command)
    if (event.type !== 'say') this.#scheduleTick()
  }

  #scheduleTick(): void {
    this.#cancelTick()
    const { dueAt } = this.#connection
    if (dueAt === null) return
    const { clock, timers } = this.#deps
    this.#cancelTick = timers.after(dueAt - clock.now(), () => this.#handle({ type: 'tick' }))
  }

  /** The server hears of the heat before it hears of the work that ends with it, so that it sends none back here. */
  #heatChanged(change: { readonly refusal: string | null } | null): void {
    this.#handle({ type: 'heartbeat_now' })
    if (change !== null) this.#host.heat(change.refusal)
  }

  #watchSleep(): void {
    const { clock, wallClock, timers } = this.#deps
    this.#cancelSleepCheck = timers.after(agentLimits.sleepCheckIntervalMs, () => {
      this.#machine.lookAtCpus()
      if (this.#sleepWatch.check(wallClock.now(), clock.now()) > 0) this.#handle({ type: 'woke' })
      this.#watchSleep()
    })
  }

  #tellActivity(): void {
    this.#machine.activity(this.#connection.onlineSocket !== undefined && !this.#host.busy)
  }

  #tellInventory(): void {
    const inventory = this.#machine.inventory
    // What changes before the connection is online is told when it is.
    if (this.#connection.onlineSocket === undefined || inventory === this.#toldInventory) return
    this.#toldInventory = inventory
    this.#handle({ type: 'say', message: { type: 'inventory', inventory } })
  }

  #tellExternal(): void {
    const models = this.#external.offers
    if (models !== undefined)
      this.#handle({ type: 'say', message: { type: 'external_models', models: [...models] } })
  }

  #perform(command: ConnectionCommand): void {
    const { log, announce, enrolment } = this.#deps
    switch (command.type) {
      case 'open_socket':
        this.#transport.open(command.socket)
        return
      case 'close_socket':
        this.#transport.close(command.socket, command.code, command.reason)
        return
      case 'send':
        this.#frames.flush()
        this.#transport.send(encodeAgentMessage(command.message))
        return
      case 'send_hello':
        this.#sendHello(command)
        return
      case 'send_heartbeat':
        this.#sendHeartbeat(command)
        return
      case 'deliver':
        this.#host.order(command.order)
        return
      case 'online':
        log.info({ server: this.#server, ...command.welcome }, 'online')
        announce({
          event: 'online',
          agentId: enrolment.identity.agentId,
          server: this.#server,
        })
        this.#host.connected(command.welcome.adminState === 'draining')
        this.#tellInventory()
        this.#tellExternal()
        this.#tellActivity()
        return
      case 'offline':
        log.warn({ reason: command.reason }, 'offline')
        announce({ event: 'offline', reason: command.reason })
        this.#frames.drop()
        this.#host.disconnected()
        this.#tellActivity()
        return
      case 'retry': {
        const seconds = Math.round((command.at - this.#deps.clock.now()) / 100) / 10
        log.info({ reason: command.reason, seconds }, 'not connected; trying again')
        return
      }
      case 'refused_for_good':
        log.fatal(`the pool refuses this agent for good: ${command.error.message}`)
        void this.#stop(exitCodeRefused)
        return
      case 'log':
        log[command.level](command.text)
    }
  }

  #sendFrame(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#connection.understands('frames')) this.#frames.add(frame)
    else if (this.#connection.onlineSocket !== undefined) this.#transport.send(frame)
  }

  #sendHello(challenge: { readonly nonce: string; readonly version: number }): void {
    const { enrolment } = this.#deps
    this.#toldInventory = this.#machine.inventory
    const facts = {
      inventory: this.#machine.inventory,
      instances: this.#host.reports,
      externalModels: this.#external.offers,
    }
    const { nonce, version } = challenge
    this.#transport.send(encodeAgentMessage(buildHello(enrolment, { nonce, version }, facts)))
  }

  #sendHeartbeat({
    sequence,
    networkLatencyMs,
  }: Extract<ConnectionCommand, { type: 'send_heartbeat' }>): void {
    const heartbeat = buildHeartbeat({
      agentId: this.#deps.enrolment.identity.agentId,
      sequence,
      networkLatencyMs,
      draining: this.#host.draining,
      held: this.#host.held,
      readings: this.#machine.readings,
      heat: this.#machine.heat,
      metrics: this.#host.metrics,
    })
    this.#transport.send(encodeAgentMessage(heartbeat))
  }

  async #stop(exitCode: number): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.#handle({ type: 'stop' })
    this.#cancelSleepCheck()
    this.#external.stop()
    this.#closeControl()
    const { timers } = this.#deps
    const late = Promise.withResolvers<void>()
    const cancelLate = timers.after(agentLimits.shutdownTimeoutMs, late.resolve)
    const orderly = Promise.all([
      this.#host.close(),
      this.#transport.goodbyesSaid(),
      this.#machine.stop(),
    ])
    await Promise.race([orderly, late.promise])
    cancelLate()
    this.#ended.resolve(exitCode)
  }

  #status(): AgentStatus {
    const { enrolment, clock } = this.#deps
    const { state } = this.#connection
    return {
      pid: process.pid,
      version: software.version,
      agentId: enrolment.identity.agentId,
      name: enrolment.identity.name,
      server: this.#server,
      connection: state.name,
      detail: 'reason' in state ? state.reason : null,
      draining: this.#host.draining,
      uptimeSeconds: Math.round((clock.now() - this.#startedAt) / 1_000),
      ...countSlots(this.#host.held),
      instances: this.#host.held.map(instanceOverview),
      gpus: this.#machine.inventory.gpus.map(gpu => gpu.name),
      engines: [...this.#external.overview],
      metrics: this.#host.metrics,
      quarantined: [...this.#quarantine.files],
    }
  }
}

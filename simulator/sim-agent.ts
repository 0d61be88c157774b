import { pino } from 'pino'
import type { ConnectionCommand, ConnectionEvent } from '../src/agent/connection-event.ts'
import { Connection } from '../src/agent/connection.ts'
import { createStartWatched } from '../src/agent/engine/watched-engine.ts'
import { agentLimits } from '../src/agent/agent-limits.ts'
import { FrameOutlet } from '../src/agent/frame-outlet.ts'
import { buildHeartbeat } from '../src/agent/heartbeat.ts'
import { buildHello } from '../src/agent/hello.ts'
import { InstanceHost } from '../src/agent/instance-host.ts'
import type { QuarantinedFile } from '../src/agent/death-records.ts'
import { SleepWatch } from '../src/agent/sleep-watch.ts'
import { ThermalGuard } from '../src/agent/thermal-guard.ts'
import type { Timers } from '../src/agent/timers.ts'
import { decodeFromServer, encodeAgentMessage } from '../src/protocol/codec.ts'
import type { GpuReading } from '../src/protocol/gpu.ts'
import type { Load } from '../src/protocol/server-message.ts'
import type { AgentPlan } from './agent-plan.ts'
import { Liar } from './liar.ts'
import type { Machine } from './machine.ts'
import { SimEngine } from './sim-engine.ts'
import type { Story } from './story.ts'
import type { Accept } from './wire.ts'
import { Wire } from './wire.ts'
import type { World } from './world.ts'

const silent = pino({ level: 'silent' })

export type SimAgentDeps = {
  readonly world: World
  readonly story: Story
  readonly machine: Machine
  readonly plan: AgentPlan
  readonly accept: Accept
  /** The agent's process ends by itself: it was refused for good. */
  readonly onEnded: () => void
}

/**
 * One process of the agent: the real connection, instances, frame outlet and heartbeats, wired as run.ts wires them, on a
 * simulated machine, network and engine.
 */
export class SimAgent {
  readonly #deps: SimAgentDeps
  readonly #connection = new Connection()
  readonly #host: InstanceHost
  readonly #frames: FrameOutlet
  readonly #guard = new ThermalGuard()
  readonly #sleepWatch: SleepWatch
  readonly #timers: Timers
  readonly #liar: Liar
  #wires: Wire[] = []
  #wire: { readonly socket: number; readonly wire: Wire } | null = null
  #cancelTick: () => void = () => {}
  #isAlive = true

  constructor(deps: SimAgentDeps) {
    const { machine, plan, world } = deps
    const { clock } = machine
    this.#deps = deps
    this.#timers = machine.timers(() => this.#isAlive)
    this.#liar = new Liar(world.random, plan.lies, this.#timers)
    this.#sleepWatch = new SleepWatch(machine.wallClock.now(), clock.now())
    const timers = this.#timers
    this.#frames = new FrameOutlet({ clock, timers, send: bytes => this.#send(bytes) })
    const surroundings = { timers, random: world.random, manner: plan.manner }
    this.#host = new InstanceHost({
      clock,
      timers,
      log: silent,
      startEngine: createStartWatched(
        (model, onEvent) => new SimEngine(model, onEvent, surroundings),
        { clock, timers, limits: agentLimits.workerSilence },
      ),
      startExternal: () => {
        throw new Error('nobody runs an engine of his own here')
      },
      modelFiles: { obtain: (load, onProgress, signal) => this.#obtain(load, onProgress, signal) },
      chooseThreads: () => 4,
      availableBytes: () => plan.memoryMb * 1024 ** 2,
      gpuMemory: () => ({ state: 'none' }),
      quarantine: { files: plan.quarantined, add: file => this.#quarantine(file) },
      idleUnloadMs: plan.idleUnloadMs,
      onActivity: () => {},
      say: message => this.#handle({ type: 'say', message }),
      sendFrame: frame => this.#sendFrame(frame),
    })
  }

  /** Jobs that it works on or keeps waiting. */
  get jobs(): number {
    return this.#host.held.reduce((sum, held) => sum + held.running.size + held.waiting.length, 0)
  }

  get isOnline(): boolean {
    return this.#connection.onlineSocket !== undefined
  }

  /** Its connections that either end still believes in. */
  get wires(): readonly Wire[] {
    this.#wires = this.#wires.filter(wire => wire.isOpen)
    return this.#wires
  }

  start(): void {
    this.machineChanged()
    this.#handle({ type: 'start' })
  }

  /** The owner stops it. */
  stop(): void {
    this.#handle({ type: 'stop' })
    this.#isAlive = false
    void this.#host.close()
  }

  /** The process is killed, or the machine loses power. @param isTold whether the system says so to the server */
  die(isTold: boolean): void {
    this.#isAlive = false
    for (const wire of this.wires) wire.agentDies(isTold)
  }

  #handle(event: ConnectionEvent): void {
    const { machine, world } = this.#deps
    for (const command of this.#connection.handle(event, machine.clock.now(), world.random.next()))
      this.#perform(command)
    if (event.type !== 'say') this.#scheduleTick()
  }

  #scheduleTick(): void {
    this.#cancelTick()
    const { dueAt } = this.#connection
    if (dueAt === null) return
    const waitMs = dueAt - this.#deps.machine.clock.now()
    this.#cancelTick = this.#timers.after(waitMs, () => this.#handle({ type: 'tick' }))
  }

  #perform(command: ConnectionCommand): void {
    switch (command.type) {
      case 'open_socket':
        this.#open(command.socket)
        return
      case 'close_socket':
        if (this.#wire?.socket !== command.socket) return
        this.#wire.wire.closeByAgent(command.code)
        this.#wire = null
        return
      case 'send':
        this.#frames.flush()
        this.#send(encodeAgentMessage(command.message))
        return
      case 'send_hello':
        this.#sendHello(command.nonce, command.version)
        return
      case 'send_heartbeat':
        this.#sendHeartbeat(command.sequence, command.networkLatencyMs)
        return
      case 'deliver':
        this.#host.order(command.order)
        return
      case 'online':
        this.#tell(() => 'is online')
        this.#host.connected(command.welcome.adminState === 'draining')
        return
      case 'offline':
        this.#tell(() => `is offline: ${command.reason}`)
        this.#frames.drop()
        this.#host.disconnected()
        return
      case 'refused_for_good':
        this.#tell(() => `was refused for good: ${command.error.message}`)
        this.#isAlive = false
        this.#deps.onEnded()
        return
      case 'retry':
      case 'log':
        return
    }
  }

  #open(socket: number): void {
    const { world, machine, plan, accept } = this.#deps
    const told = (event: ConnectionEvent) =>
      machine.whenAwake(() => {
        if (this.#isAlive && this.#wire?.socket === socket) this.#handle(event)
      })
    const wire = new Wire(world, plan.latency, {
      opened: () => told({ type: 'socket_opened', socket }),
      received: data => told({ type: 'received', socket, what: decodeFromServer(data) }),
      closed: (code, reason) =>
        told({ type: 'socket_closed', socket, reason: `${reason} (code ${code})` }),
      awake: answer =>
        machine.whenAwake(() => {
          if (this.#isAlive) answer()
        }),
    })
    this.#wire = { socket, wire }
    this.#wires.push(wire)
    if (plan.isCutOff) wire.block()
    wire.dial(accept)
  }

  #send(data: string | Uint8Array<ArrayBuffer>): void {
    const wire = this.#wire?.wire
    if (wire !== undefined) this.#liar.send(data, said => wire.sendUp(said))
  }

  #sendFrame(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#connection.understands('frames')) this.#frames.add(frame)
    else if (this.#connection.onlineSocket !== undefined) this.#send(frame)
  }

  #sendHello(nonce: string, version: number): void {
    const { enrolment, inventory } = this.#deps.plan
    const facts = { inventory, instances: this.#host.reports }
    this.#send(encodeAgentMessage(buildHello(enrolment, { nonce, version }, facts, unsigned)))
  }

  #sendHeartbeat(sequence: number, networkLatencyMs: number | null): void {
    const heartbeat = buildHeartbeat({
      agentId: this.#deps.plan.enrolment.identity.agentId,
      sequence,
      networkLatencyMs,
      draining: this.#host.draining,
      held: this.#host.held,
      readings: this.#readings,
      heat: this.#guard.level,
    })
    this.#send(encodeAgentMessage(heartbeat))
  }

  get #readings(): readonly GpuReading[] {
    const { temperatureC, inventory } = this.#deps.plan
    return inventory.gpus.map(({ id, vramTotalMb }) => ({
      id,
      temperature_c: temperatureC,
      vram_used_mb: 100,
      vram_total_mb: vramTotalMb,
      utilization_pct: 50,
      power_w: null,
    }))
  }

  /**
   * Devices are read and the clocks compared at intervals; between changes nothing would come of it, so that a thousand
   * agents need not do it all day.
   */
  machineChanged(): void {
    const { random } = this.#deps.world
    this.#timers.after(random.between(0, agentLimits.sleepCheckIntervalMs), () =>
      this.#lookAtClocks(),
    )
    this.#timers.after(random.between(0, agentLimits.readingsIntervalMs), () => this.#readDevices())
  }

  #readDevices(): void {
    const refused = this.#guard.refusal
    if (!this.#guard.observe(this.#readings)) return
    this.#handle({ type: 'heartbeat_now' })
    const { refusal } = this.#guard
    if (refusal !== refused) this.#host.heat(refusal)
  }

  #lookAtClocks(): void {
    const { clock, wallClock } = this.#deps.machine
    if (this.#sleepWatch.check(wallClock.now(), clock.now()) > 0) this.#handle({ type: 'woke' })
  }

  async #obtain(
    load: Pick<Load, 'manifest'>,
    onProgress: (progress: number) => void,
    signal: AbortSignal,
  ) {
    const { fetchMs, fetchFails, files } = this.#deps.plan
    const { sha256 } = load.manifest
    if (!files.has(sha256)) {
      await this.#elapsed(fetchMs / 2)
      if (!signal.aborted) onProgress(0.5)
      await this.#elapsed(fetchMs / 2)
      if (this.#deps.world.random.chance(fetchFails))
        return { code: 'model_file_invalid', message: 'the file has another hash' } as const
      files.add(sha256)
    }
    return { path: noSuchFile }
  }

  #elapsed(ms: number): Promise<void> {
    return new Promise(resolve => this.#timers.after(ms, resolve))
  }

  #quarantine(file: QuarantinedFile): void {
    this.#deps.plan.quarantined.push(file)
    this.#tell(() => `puts ${file.model} into quarantine`)
  }

  #tell(what: () => string): void {
    this.#deps.story.tell(this.#deps.plan.name, what)
  }
}

/** Its size stands for what a header would tell. */
const noSuchFile = './no-such-model.gguf'
/** Who an agent is, is not what is tried here; a signature takes longer than everything else in a connection. */
const unsigned = () => Buffer.alloc(64).toString('base64')

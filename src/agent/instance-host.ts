import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { AgentMessage, Hello } from '../protocol/agent-message.ts'
import type { InstanceId } from '../protocol/ids.ts'
import type { Load } from '../protocol/server-message.ts'
import type { AgentMetrics } from '../protocol/agent-metrics.ts'
import { agentLimits } from './agent-limits.ts'
import { buildMetrics } from './agent-metrics.ts'
import type { Order } from './connection-event.ts'
import type { Engine, EngineEvent, WantedModel, StartEngine } from './engine/engine.ts'
import type { StartExternal } from './external/external-engines.ts'
import type { InstanceCommand, InstanceEvent } from './instance-event.ts'
import { engineOf, instanceStatus, jobKey, type Instance } from './instance.ts'
import { Instances } from './instances.ts'
import { ModelFigures } from './model-figures.ts'
import { planLoad, type GpuMemory } from './model-need.ts'
import type { ModelFiles } from './model-files.ts'
import type { Quarantine } from './quarantine.ts'
import { RoomWatch } from './room-watch.ts'
import type { Timers } from './timers.ts'

export type InstanceHostDeps = {
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Logger
  readonly startEngine: StartEngine
  /** Begins to use an engine that the owner runs. */
  readonly startExternal: StartExternal
  readonly modelFiles: Pick<ModelFiles, 'obtain'>
  /** Threads for an engine that starts now. */
  readonly chooseThreads: () => number
  /** Memory that a new process could get now. */
  readonly availableBytes: () => number
  /** What was measured of the GPUs, with nothing of ours loaded. */
  readonly gpuMemory: () => GpuMemory
  readonly quarantine: Pick<Quarantine, 'files' | 'add'>
  /** A model that nobody has used for so long is unloaded, unless the server says otherwise of it; null: never. */
  readonly idleUnloadMs: number | null
  /** Somebody wants something of this machine (a file, a model, an answer), or nobody does any more. */
  readonly onActivity: (busy: boolean) => void
  readonly say: (message: AgentMessage) => void
  /** Takes a token frame as the engine made it. */
  readonly sendFrame: (bytes: Uint8Array<ArrayBuffer>) => void
}

/** Performs what Instances decides: fetches files, starts and closes engines, passes jobs and words on. */
export class InstanceHost {
  readonly #deps: InstanceHostDeps
  readonly #instances: Instances
  readonly #engines = new Map<number, Engine>()
  readonly #fetches = new Map<InstanceId, AbortController>()
  /** What each engine has of the GPUs, until its process is gone. */
  readonly #gpuBytes = new Map<number, number>()
  readonly #rooms: RoomWatch
  readonly #figures = new ModelFigures()
  #cancelIdleCheck: () => void = () => {}
  #busy = false

  constructor(deps: InstanceHostDeps) {
    this.#deps = deps
    this.#instances = new Instances(deps.quarantine.files)
    this.#rooms = new RoomWatch({
      ...deps,
      takenGpuBytes: () => this.#takenGpuBytes,
      onRoom: event => this.#handle(event),
    })
    this.#watchIdle()
  }

  get draining(): boolean {
    return this.#instances.draining
  }

  get held(): readonly Instance[] {
    return this.#instances.held
  }

  get busy(): boolean {
    return this.#busy
  }

  /** Whether a process of ours may hold a device's memory. */
  get modelsLoaded(): boolean {
    return this.#gpuBytes.size > 0
  }

  /** What is measured of the work here. */
  get metrics(): AgentMetrics {
    return buildMetrics(this.held, model => this.#figures.of(model), this.#deps.availableBytes())
  }

  /** Instances as hello lists them. */
  get reports(): Hello['instances'] {
    return this.held.map(instance => ({
      instanceId: instance.load.instanceId,
      modelSha256: instance.load.manifest.sha256,
      status: instanceStatus(instance),
    }))
  }

  order(order: Order): void {
    // Asking the system takes 0.2 ms, which every job's first token would wait for; only a load wants to know.
    const availableBytes = order.type === 'load' ? this.#deps.availableBytes() : 0
    this.#handle({ type: 'order', order, availableBytes })
  }

  /** @param refusal why the GPUs may not work now; null: they may */
  heat(refusal: string | null): void {
    this.#handle({ type: 'heat', refusal })
  }

  connected(draining: boolean): void {
    this.#handle({ type: 'connected', draining })
  }

  disconnected(): void {
    this.#handle({ type: 'disconnected' })
  }

  /** Ends every engine and download. Resolves when all workers are gone. */
  async close(): Promise<void> {
    for (const fetching of this.#fetches.values()) fetching.abort()
    this.#rooms.close()
    this.#cancelIdleCheck()
    const engines = [...this.#engines.values()]
    this.#engines.clear()
    await Promise.all(engines.map(engine => engine.close()))
  }

  #handle(event: InstanceEvent): void {
    const commands = this.#instances.handle(event, this.#deps.clock.now())
    // Before anything is begun: whoever uses the machine while nobody wants it has to let go first.
    this.#tellActivity()
    for (const command of commands) this.#perform(command)
  }

  #watchIdle(): void {
    const { idleUnloadMs, timers } = this.#deps
    this.#cancelIdleCheck = timers.after(agentLimits.idleCheckMs, () => {
      this.#handle({ type: 'idle_check', idleUnloadMs })
      this.#watchIdle()
    })
  }

  #tellActivity(): void {
    const busy = this.held.some(
      ({ phase, running, waiting }) =>
        phase.name === 'fetching' ||
        phase.name === 'making_room' ||
        phase.name === 'starting' ||
        running.size > 0 ||
        waiting.length > 0,
    )
    if (busy === this.#busy) return
    this.#busy = busy
    this.#deps.onActivity(busy)
  }

  /** What the GPUs have for one more model. */
  #gpuMemory(withoutGpu: boolean): GpuMemory {
    if (withoutGpu) return { state: 'unwanted' }
    const gpu = this.#deps.gpuMemory()
    if (gpu.state !== 'known') return gpu
    return { ...gpu, bytes: Math.max(0, gpu.bytes - this.#takenGpuBytes) }
  }

  get #takenGpuBytes(): number {
    return [...this.#gpuBytes.values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  #perform(command: InstanceCommand): void {
    switch (command.type) {
      case 'fetch_file':
        void this.#fetch(command.load)
        return
      case 'abandon_fetch':
        this.#fetches.get(command.instanceId)?.abort()
        this.#fetches.delete(command.instanceId)
        return
      case 'look_for_room':
        this.#rooms.look(command)
        return
      case 'start_engine':
        this.#start(command.engine, command.model)
        return
      case 'close_engine':
        void this.#close(command.engine)
        return
      case 'run_job':
        this.#figures.began(jobKey(command.job), command.engine, this.#modelOf(command.engine))
        this.#engines.get(command.engine)?.run(command.job)
        return
      case 'cancel_job':
        this.#figures.ended(jobKey(command), false)
        this.#engines.get(command.engine)?.cancel(command.stream, command.attempt)
        return
      case 'quarantine':
        this.#deps.quarantine.add(command.file)
        return
      case 'say':
        this.#deps.say(command.message)
        return
      case 'log':
        this.#deps.log[command.level](command.text)
    }
  }

  async #fetch(load: Load): Promise<void> {
    const { instanceId } = load
    const abort = new AbortController()
    this.#fetches.set(instanceId, abort)
    const onProgress = (progress: number) =>
      this.#handle({ type: 'file_progress', instanceId, progress })
    const found = await this.#deps.modelFiles.obtain(load, onProgress, abort.signal)
    // Abandoned: what came of it concerns nobody, least of all a newer load of the same instance.
    if (this.#fetches.get(instanceId) !== abort || abort.signal.aborted) return
    this.#fetches.delete(instanceId)
    if ('path' in found) {
      const { path } = found
      this.#handle({ type: 'file_ready', instanceId, path, room: this.#rooms.measure(load, path) })
    } else this.#handle({ type: 'file_failed', instanceId, error: found })
  }

  #start(number: number, { withoutGpu, lessGpu = false, external, ...model }: WantedModel): void {
    const { log, startEngine, startExternal, chooseThreads, sendFrame } = this.#deps
    const onEvent = (event: EngineEvent) => {
      this.#measure(event)
      if (event.type === 'token_frame') {
        sendFrame(event.bytes)
        return
      }
      if (!this.#engines.has(number)) return
      if (event.type === 'died') this.#forget(number)
      this.#handle({ type: 'engine', engine: number, word: event })
    }
    if (external !== undefined) {
      const { contextTokens } = model
      this.#engines.set(number, startExternal({ source: external, contextTokens }, onEvent))
      return
    }
    const threads = chooseThreads()
    const gpu = this.#gpuMemory(withoutGpu)
    const { gpuLayers, gpuBytes } = planLoad(model.modelPath, model, lessGpu ? lessOf(gpu) : gpu)
    this.#gpuBytes.set(number, gpuBytes)
    const engine = startEngine({ ...model, threads, gpuLayers }, onEvent)
    this.#engines.set(number, engine)
    log.info({ model: model.modelPath, threads, gpuLayers, pid: engine.pid }, 'worker started')
  }

  #measure(event: EngineEvent): void {
    const now = this.#deps.clock.now()
    if (event.type === 'token_frame') this.#figures.token(frameKey(event.bytes), now)
    else if (event.type === 'started')
      this.#figures.started(jobKey(event), event.promptTokens ?? 0, event.cachedTokens ?? 0, now)
    else if (event.type === 'finished' || event.type === 'failed')
      this.#figures.ended(jobKey(event), event.type === 'finished')
  }

  #modelOf(engine: number): string {
    const held = this.held.find(instance => engineOf(instance) === engine)
    return held?.load.manifest.name ?? ''
  }

  #forget(number: number): void {
    this.#figures.engineGone(number)
    this.#engines.delete(number)
    this.#gpuBytes.delete(number)
  }

  async #close(number: number): Promise<void> {
    const engine = this.#engines.get(number)
    this.#figures.engineGone(number)
    this.#engines.delete(number)
    await engine?.close()
    this.#gpuBytes.delete(number)
    this.#handle({ type: 'engine_closed', engine: number })
  }
}

/** Half of what was measured; where nothing was, none at all. */
function lessOf(gpu: GpuMemory): GpuMemory {
  if (gpu.state === 'known') return { ...gpu, bytes: gpu.bytes / 2 }
  return gpu.state === 'unknown' ? { state: 'unwanted' } : gpu
}

/** Of the job that a frame belongs to: stream and attempt at their fixed places (protocol/token-frame.ts). */
function frameKey(bytes: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return jobKey({ stream: view.getUint32(4, true), attempt: view.getUint16(2, true) })
}

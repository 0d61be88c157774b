import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { InstanceId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import type { Load } from '../protocol/server-message.ts'
import { agentLimits } from './agent-limits.ts'
import type { Order } from './connection-event.ts'
import type { EngineWord, InstanceCommand, InstanceEvent } from './instance-event.ts'
import {
  engineOf,
  engineTaskOf,
  externalSourceOf,
  instanceStatus,
  jobKey,
  memoryRefusal,
  newInstance,
  type AnyAssign,
  type Instance,
  type Phase,
} from './instance.ts'

type Commands = readonly InstanceCommand[]

/**
 * The models the server wants on this machine and the jobs that run on them. Pure: `handle(event, now)` returns
 * commands, instance-host.ts performs them.
 *
 *     load → fetching → starting → ready        any failure → failed, until the server loads again
 *                          ↑         │
 *                          └─ worker died (at most a few times a minute)
 *
 * A job goes to the engine when its instance is ready and has a free slot, and waits in a bounded queue until then.
 * Losing the connection cancels all jobs (the server moves them elsewhere) and keeps all models.
 */
export class Instances {
  readonly #instances = new Map<InstanceId, Instance>()
  /** Engines that were told to close and are not gone yet. */
  readonly #closing = new Map<number, Load>()
  #engines = 0
  #draining = false
  /** Why the GPUs may not work now. */
  #tooHot: string | null = null

  get draining(): boolean {
    return this.#draining
  }

  /** What is held, in the order it was asked for. */
  get held(): readonly Instance[] {
    return [...this.#instances.values()]
  }

  handle(event: InstanceEvent, now: Instant): Commands {
    switch (event.type) {
      case 'order':
        return this.#order(event.order, event.availableBytes)
      case 'file_progress':
        return this.#progress(this.#instances.get(event.instanceId), 'fetching', event.progress)
      case 'file_ready':
        return this.#fileReady(event)
      case 'file_failed':
        return this.#fileFailed(event.instanceId, event.error)
      case 'engine':
        return this.#engineWord(event.engine, event.word, now)
      case 'engine_closed':
        return this.#engineClosed(event.engine)
      case 'heat':
        return this.#heat(event.refusal)
      case 'connected':
        this.#draining = event.draining
        return this.held.map(report)
      case 'disconnected':
        return this.held.flatMap(instance => this.#dropJobs(instance))
    }
  }

  #order(order: Order, availableBytes: number): Commands {
    switch (order.type) {
      case 'load':
        return this.#load(order, availableBytes)
      case 'unload':
        return this.#unload(order.instanceId)
      case 'assign':
      case 'assign_embed':
        return this.#assign(order)
      case 'cancel':
        return this.#cancel(jobKey(order))
      case 'drain':
        this.#draining = !order.resume
        return [log('info', order.resume ? 'takes new work again' : 'takes no new work')]
    }
  }

  #load(load: Load, availableBytes: number): Commands {
    const known = this.#instances.get(load.instanceId)
    if (known !== undefined && known.phase.name !== 'failed') return [report(known)]
    if (known === undefined && this.#instances.size >= limits.instancesPerAgentMax) {
      const message = `this agent holds ${limits.instancesPerAgentMax} models; that is the limit`
      return [report({ ...newInstance(load), phase: failed({ code: 'agent_refused', message }) })]
    }
    const instance = newInstance(load)
    this.#instances.set(load.instanceId, instance)
    if (externalSourceOf(load) !== undefined) return this.#start(instance, noFile)
    // Before the file is here, its size is all that is known.
    const refusal = this.#memoryRefusal(load, availableBytes, null)
    if (refusal !== undefined) return this.#fail(instance, refusal)
    return [report(instance), { type: 'fetch_file', load }]
  }

  #memoryRefusal(
    load: Load,
    availableBytes: number,
    neededBytes: number | null,
  ): Failure | undefined {
    const loaded = new Map<string, number>()
    for (const other of this.#instances.values())
      if (engineOf(other) !== undefined && other.load.manifest.sha256 !== load.manifest.sha256)
        loaded.set(other.load.manifest.sha256, other.load.manifest.sizeBytes)
    const loadedBytes = [...loaded.values()].reduce((sum, bytes) => sum + bytes, 0)
    return memoryRefusal(neededBytes ?? load.manifest.sizeBytes, availableBytes, loadedBytes)
  }

  #unload(instanceId: InstanceId): Commands {
    const instance = this.#instances.get(instanceId)
    // Whatever there was is gone already; with an engine still closing, the word follows when it is gone.
    if (instance === undefined) return []
    this.#instances.delete(instanceId)
    const ended = this.#failJobs(instance, {
      code: 'agent_refused',
      message: 'the model is being unloaded here',
    })
    const engine = engineOf(instance)
    if (engine === undefined)
      return [...ended, { type: 'abandon_fetch', instanceId }, unloaded(instance.load)]
    this.#closing.set(engine, instance.load)
    return [...ended, { type: 'close_engine', engine }]
  }

  #assign(assign: AnyAssign): Commands {
    const refuse = (message: string): Commands => [fail(assign, { code: 'agent_refused', message })]
    const instance = this.#instances.get(assign.instanceId)
    if (instance === undefined) return refuse('the model is not loaded here')
    if (this.#draining) return refuse('this agent takes no new work')
    if (instance.phase.name === 'failed')
      return refuse(`the model could not be loaded: ${instance.phase.error.message}`)
    if (this.#tooHot !== null && usesGpu(instance))
      return [fail(assign, { code: 'overheated', message: this.#tooHot })]
    const isKnown = this.held.some(
      held => held.running.has(jobKey(assign)) || held.waiting.some(isJob(jobKey(assign))),
    )
    if (isKnown) return [log('warn', `stream ${assign.stream} was assigned twice`)]
    if (instance.waiting.length >= agentLimits.jobsWaitingPerInstanceMax)
      return refuse(`${instance.waiting.length} jobs wait for this model already`)
    instance.waiting.push(assign)
    return this.#dispatch(instance)
  }

  /** Heat that the GPUs' work makes ends with that work; the pool has it go on elsewhere. */
  #heat(refusal: string | null): Commands {
    this.#tooHot = refusal
    if (refusal === null) return [log('info', 'the GPU has cooled down; work goes on')]
    const ended = this.held.filter(usesGpu).flatMap(instance => {
      const engine = engineOf(instance)
      const cancelled: Commands =
        engine === undefined
          ? []
          : [...instance.running.values()].map(job => ({ type: 'cancel_job', engine, ...job }))
      return [...cancelled, ...this.#failJobs(instance, { code: 'overheated', message: refusal })]
    })
    return [log('warn', refusal), ...ended]
  }

  /** Gives waiting jobs to free slots. */
  #dispatch(instance: Instance): Commands {
    const { phase, running, waiting } = instance
    if (phase.name !== 'ready') return []
    const commands: InstanceCommand[] = []
    while (running.size < phase.slots) {
      const next = waiting.shift()
      if (next === undefined) break
      const job = engineTaskOf(next)
      running.set(jobKey(next), { stream: next.stream, attempt: next.attempt })
      commands.push({ type: 'run_job', engine: phase.engine, job })
    }
    return commands
  }

  #cancel(key: number): Commands {
    for (const instance of this.#instances.values()) {
      const waitingAt = instance.waiting.findIndex(isJob(key))
      if (waitingAt !== -1) {
        instance.waiting.splice(waitingAt, 1)
        return []
      }
      const job = instance.running.get(key)
      const engine = engineOf(instance)
      if (job === undefined || engine === undefined) continue
      instance.running.delete(key)
      return [{ type: 'cancel_job', engine, ...job }, ...this.#dispatch(instance)]
    }
    return []
  }

  #fileReady(event: Extract<InstanceEvent, { type: 'file_ready' }>): Commands {
    const instance = this.#instances.get(event.instanceId)
    if (instance?.phase.name !== 'fetching') return []
    const { availableBytes, neededBytes, path } = event
    const refusal = this.#memoryRefusal(instance.load, availableBytes, neededBytes)
    return refusal === undefined ? this.#start(instance, path) : this.#fail(instance, refusal)
  }

  #start(instance: Instance, path: string): Commands {
    const engine = ++this.#engines
    instance.phase = { name: 'starting', engine, path, progress: null }
    const { contextTokens, slots, withoutGpu = false } = instance.load
    const external = externalSourceOf(instance.load)
    const model = {
      modelPath: path,
      contextTokens,
      slots,
      withoutGpu,
      ...(external !== undefined && { external }),
    }
    return [report(instance), { type: 'start_engine', engine, model }]
  }

  #fileFailed(instanceId: InstanceId, error: Failure): Commands {
    const instance = this.#instances.get(instanceId)
    return instance?.phase.name === 'fetching' ? this.#fail(instance, error) : []
  }

  #progress(
    instance: Instance | undefined,
    during: 'fetching' | 'starting',
    progress: number | null,
  ): Commands {
    const phase = instance?.phase
    if (instance === undefined || phase?.name !== during || progress === null) return []
    const step = progress - (phase.progress ?? 0)
    if (step < agentLimits.progressStepRatio) return []
    instance.phase = { ...phase, progress: Math.min(1, progress) }
    return [report(instance)]
  }

  #engineWord(engine: number, word: EngineWord, now: Instant): Commands {
    const instance = this.held.find(held => engineOf(held) === engine)
    if (instance === undefined) return []
    switch (word.type) {
      case 'loading':
        return this.#progress(instance, 'starting', word.progress)
      case 'ready':
        return this.#engineReady(instance, word)
      case 'load_failed':
        return this.#fail(instance, word.error)
      case 'died':
        return this.#died(instance, word, now)
      case 'started':
        return instance.running.has(jobKey(word)) ? [{ type: 'say', message: word }] : []
      case 'finished':
        if (!instance.running.delete(jobKey(word))) return []
        return [{ type: 'say', message: word }, ...this.#dispatch(instance)]
      case 'failed':
        if (!instance.running.delete(jobKey(word))) return []
        return [fail(word, word.error), ...this.#dispatch(instance)]
    }
  }

  #engineReady(instance: Instance, word: Extract<EngineWord, { type: 'ready' }>): Commands {
    if (instance.phase.name !== 'starting') return []
    const { engine, path } = instance.phase
    const { contextTokens, slots, loadMs } = word
    instance.phase = { name: 'ready', engine, path, contextTokens, slots, loadMs }
    return [report(instance), ...this.#dispatch(instance)]
  }

  #died(instance: Instance, word: Extract<EngineWord, { type: 'died' }>, now: Instant): Commands {
    if (instance.phase.name !== 'starting' && instance.phase.name !== 'ready') return []
    const { path } = instance.phase
    const windowStart = now - agentLimits.workerDeathWindowMs
    instance.deaths = [...instance.deaths.filter(at => at > windowStart), now]
    const { name } = instance.load.manifest
    const ended = [...instance.running.values()].map(job => fail(job, word.error))
    instance.running.clear()
    const died = log('error', `the worker of ${name} died (${word.exit}): ${word.error.message}`)
    if (instance.deaths.length <= agentLimits.workerDeathsMax)
      return [died, ...ended, ...this.#start(instance, path)]
    const seconds = agentLimits.workerDeathWindowMs / 1_000
    const message = `the worker died ${instance.deaths.length} times within ${seconds} s, last: ${word.error.message}`
    // The process is gone: there is no engine to close any more.
    instance.phase = failed({ code: 'model_load_failed', message })
    return [died, ...ended, ...this.#fail(instance, { code: 'model_load_failed', message })]
  }

  #fail(instance: Instance, error: Failure): Commands {
    const engine = engineOf(instance)
    const ended = this.#failJobs(instance, error)
    instance.phase = failed(error)
    const close: Commands = engine === undefined ? [] : [{ type: 'close_engine', engine }]
    const text = `${instance.load.manifest.name} is not loaded: ${error.message}`
    return [log('error', text), ...close, ...ended, report(instance)]
  }

  #engineClosed(engine: number): Commands {
    const load = this.#closing.get(engine)
    this.#closing.delete(engine)
    return load === undefined || this.#instances.has(load.instanceId) ? [] : [unloaded(load)]
  }

  #failJobs(instance: Instance, error: Failure): Commands {
    const jobs = [...instance.running.values(), ...instance.waiting]
    instance.running.clear()
    instance.waiting.length = 0
    return jobs.map(job => fail(job, error))
  }

  #dropJobs(instance: Instance): Commands {
    const engine = engineOf(instance)
    const jobs = [...instance.running.values()]
    instance.running.clear()
    instance.waiting.length = 0
    return engine === undefined
      ? []
      : jobs.map(job => ({ type: 'cancel_job', engine, ...job }) as const)
  }
}

/** Where a path would be: an engine of the owner has the model. */
const noFile = ''

const usesGpu = ({ load }: Instance): boolean => load.withoutGpu !== true

const isJob = (key: number) => (assign: AnyAssign) => jobKey(assign) === key

const failed = (error: Failure): Phase => ({ name: 'failed', error: clipped(error) })

/** A worker's last words can be long, and the server ends a connection over a text beyond the limit. */
const clipped = ({ code, message }: Failure): Failure => ({
  code,
  message: message.slice(0, limits.errorTextBytesMax),
})

const fail = (
  { stream, attempt }: { readonly stream: number; readonly attempt: number },
  error: Failure,
): InstanceCommand => ({
  type: 'say',
  message: { type: 'failed', stream, attempt, error: clipped(error) },
})

const report = (instance: Instance): InstanceCommand => ({
  type: 'say',
  message: {
    type: 'instance',
    instanceId: instance.load.instanceId,
    modelSha256: instance.load.manifest.sha256,
    status: instanceStatus(instance),
  },
})

const unloaded = ({ instanceId, manifest }: Load): InstanceCommand => ({
  type: 'say',
  message: {
    type: 'instance',
    instanceId,
    modelSha256: manifest.sha256,
    status: { state: 'unloaded' },
  },
})

const log = (level: 'info' | 'warn' | 'error', text: string): InstanceCommand => ({
  type: 'log',
  level,
  text,
})

import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { InstanceId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import type { Load } from '../protocol/server-message.ts'
import { agentLimits } from './agent-limits.ts'
import type { Order } from './connection-event.ts'
import { DeathRecords, refusalOf, type QuarantinedFile } from './death-records.ts'
import { heldUpExit } from './engine/engine.ts'
import type { EngineWord, InstanceCommand, InstanceEvent } from './instance-event.ts'
import {
  engineOf,
  externalSourceOf,
  jobKey,
  newInstance,
  type AnyAssign,
  type Instance,
} from './instance.ts'
import { cancelRunning, dispatchJobs, dropJobs, failJobs, isJob } from './instance-jobs.ts'
import {
  failed,
  failJob,
  log,
  report,
  reportProgress,
  tooManyDeaths,
  unloaded,
} from './instance-words.ts'
import { isIdle, residentsOf } from './residents.ts'
import { askForRoom, outOfMemory, type Room } from './room.ts'

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
  readonly #records: DeathRecords
  /** Engines that were told to close and are not gone yet. */
  readonly #closing = new Map<number, Instance>()
  #engines = 0
  #looks = 0
  /** Of the event that is being handled. */
  #now: Instant = 0
  /** Until then memory of processes that have ended may still come back. */
  #settlesAt: Instant = -Infinity
  #draining = false
  /** Why the GPUs may not work now. */
  #tooHot: string | null = null

  /** @param quarantined files that are not loaded */
  constructor(quarantined: readonly QuarantinedFile[] = []) {
    this.#records = new DeathRecords(quarantined)
  }

  get draining(): boolean {
    return this.#draining
  }

  /** What is held, in the order it was asked for. */
  get held(): readonly Instance[] {
    return [...this.#instances.values()]
  }

  handle(event: InstanceEvent, now: Instant): Commands {
    this.#now = now
    switch (event.type) {
      case 'order':
        return this.#order(event.order, event.availableBytes)
      case 'file_progress':
        return reportProgress(this.#instances.get(event.instanceId), 'fetching', event.progress)
      case 'file_ready':
        return this.#fileReady(event)
      case 'room':
        return this.#roomLook(event)
      case 'file_failed':
        return this.#fileFailed(event.instanceId, event.error)
      case 'engine':
        return this.#engineWord(event.engine, event.word)
      case 'engine_closed':
        return this.#engineClosed(event.engine)
      case 'heat':
        return this.#heat(event.refusal)
      case 'idle_check':
        return this.#unloadIdle(event.idleUnloadMs)
      case 'connected':
        this.#draining = event.draining
        return this.held.map(report)
      case 'disconnected':
        return this.held.flatMap(dropJobs)
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
      return [
        report({
          ...newInstance(load, this.#now),
          phase: failed({ code: 'agent_refused', message }),
        }),
      ]
    }
    const instance = newInstance(load, this.#now)
    this.#instances.set(load.instanceId, instance)
    if (externalSourceOf(load) !== undefined) return this.#start(instance, noFile)
    const quarantine = this.#records.refusal(load.manifest.sha256)
    if (quarantine !== null)
      return this.#fail(instance, { code: 'model_load_failed', message: quarantine })
    // Before the file is here, its size is all that is known.
    const need = { mainBytes: load.manifest.sizeBytes, gpuBytes: 0 }
    const room = { need, needNow: need, availableBytes, gpuFreeBytes: null }
    const answer = askForRoom(room, this.#residents)
    if (answer.type === 'refuse') return this.#fail(instance, answer.error)
    return [report(instance), { type: 'fetch_file', load }]
  }

  get #residents(): ReturnType<typeof residentsOf> {
    return residentsOf(this.held, [...this.#closing.values()])
  }

  #unload(instanceId: InstanceId): Commands {
    const instance = this.#instances.get(instanceId)
    // Whatever there was is gone already; with an engine still closing, the word follows when it is gone.
    return instance === undefined ? [] : this.#letGo(instance)
  }

  /** Memory that nobody has used for long goes back to the machine's owner; an engine of the owner holds none of ours. */
  #unloadIdle(idleUnloadMs: number): Commands {
    const unused = this.held.filter(
      instance =>
        isIdle(instance) &&
        externalSourceOf(instance.load) === undefined &&
        this.#now - instance.lastUsedAt >= idleUnloadMs,
    )
    return unused.flatMap(instance => {
      const minutes = Math.round(idleUnloadMs / 60_000)
      const text = `${instance.load.manifest.name} is unloaded: unused for ${minutes} min`
      return [log('info', text), ...this.#letGo(instance)]
    })
  }

  #letGo(instance: Instance): Commands {
    const { instanceId } = instance.load
    this.#instances.delete(instanceId)
    const ended = failJobs(instance, {
      code: 'model_unloaded',
      message: 'the model is being unloaded here',
    })
    const engine = engineOf(instance)
    if (engine === undefined)
      return [...ended, { type: 'abandon_fetch', instanceId }, unloaded(instance.load)]
    this.#closing.set(engine, instance)
    return [...ended, { type: 'close_engine', engine }]
  }

  #assign(assign: AnyAssign): Commands {
    const refuse = (message: string): Commands => [
      failJob(assign, { code: 'agent_refused', message }),
    ]
    const instance = this.#instances.get(assign.instanceId)
    if (instance === undefined)
      return [failJob(assign, { code: 'model_unloaded', message: 'the model is not loaded here' })]
    if (this.#draining) return refuse('this agent takes no new work')
    if (instance.phase.name === 'failed')
      return refuse(`the model could not be loaded: ${instance.phase.error.message}`)
    if (this.#tooHot !== null && usesGpu(instance))
      return [failJob(assign, { code: 'overheated', message: this.#tooHot })]
    const isKnown = this.held.some(
      held => held.running.has(jobKey(assign)) || held.waiting.some(isJob(jobKey(assign))),
    )
    if (isKnown) return [log('warn', `stream ${assign.stream} was assigned twice`)]
    if (instance.waiting.length >= agentLimits.jobsWaitingPerInstanceMax)
      return refuse(`${instance.waiting.length} jobs wait for this model already`)
    instance.lastUsedAt = this.#now
    instance.waiting.push(assign)
    return dispatchJobs(instance)
  }

  /** Heat that the GPUs' work makes ends with that work; the pool has it go on elsewhere. */
  #heat(refusal: string | null): Commands {
    this.#tooHot = refusal
    if (refusal === null) return [log('info', 'the GPU has cooled down; work goes on')]
    const ended = this.held.filter(usesGpu).flatMap(instance => {
      const cancelled = cancelRunning(instance)
      return [...cancelled, ...failJobs(instance, { code: 'overheated', message: refusal })]
    })
    return [log('warn', refusal), ...ended]
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
      instance.lastUsedAt = this.#now
      const { stream, attempt } = job
      return [{ type: 'cancel_job', engine, stream, attempt }, ...dispatchJobs(instance)]
    }
    return []
  }

  #fileReady(event: Extract<InstanceEvent, { type: 'file_ready' }>): Commands {
    const instance = this.#instances.get(event.instanceId)
    if (instance?.phase.name !== 'fetching') return []
    return this.#enter(instance, event.path, event.room, this.#now)
  }

  #roomLook({ instanceId, look, room }: Extract<InstanceEvent, { type: 'room' }>): Commands {
    const instance = this.#instances.get(instanceId)
    if (instance?.phase.name !== 'making_room' || instance.phase.look !== look) return []
    return this.#enter(instance, instance.phase.path, room, instance.phase.since)
  }

  /**
   * Starts a model when there is room for it. Else idle models go for it, and it looks again until their memory is
   * back, or until models in use are idle.
   */
  #enter(instance: Instance, path: string, room: Room, since: Instant): Commands {
    const answer = askForRoom(room, this.#residents)
    const isLeaving = [...this.#closing.values()].includes(instance)
    if (answer.type === 'fits' && !isLeaving) {
      instance.footprint = room.needNow
      instance.admitted = room
      return this.#start(instance, path)
    }
    const isSettling = this.#closing.size > 0 || this.#now < this.#settlesAt
    if (isSettling || answer.type === 'fits') return this.#lookAgain(instance, path, since)
    if (answer.type === 'evict') {
      const gone = answer.instanceIds.flatMap(id => this.#evict(id, instance))
      return [...gone, ...this.#lookAgain(instance, path, since)]
    }
    if (answer.type === 'wait' && this.#now - since < agentLimits.roomWaitMs)
      return this.#lookAgain(instance, path, since)
    return this.#fail(instance, answer.error)
  }

  #evict(instanceId: InstanceId, guest: Instance): Commands {
    const instance = this.#instances.get(instanceId)
    if (instance === undefined) throw new Error('only what is here can leave')
    const { name } = instance.load.manifest
    const text = `${name} is unloaded to make room for ${guest.load.manifest.name}`
    return [log('info', text), ...this.#letGo(instance)]
  }

  #lookAgain(instance: Instance, path: string, since: Instant): Commands {
    const look = ++this.#looks
    instance.phase = { name: 'making_room', path, since, look }
    const { load } = instance
    return [{ type: 'look_for_room', load, path, look, afterMs: agentLimits.roomLookMs }]
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
      ...(instance.lessGpu && { lessGpu: true }),
    }
    return [report(instance), { type: 'start_engine', engine, model }]
  }

  #fileFailed(instanceId: InstanceId, error: Failure): Commands {
    const instance = this.#instances.get(instanceId)
    return instance?.phase.name === 'fetching' ? this.#fail(instance, error) : []
  }

  #engineWord(engine: number, word: EngineWord): Commands {
    const instance = this.held.find(held => engineOf(held) === engine)
    if (instance === undefined) return []
    switch (word.type) {
      case 'loading':
        return reportProgress(instance, 'starting', word.progress)
      case 'ready':
        return this.#engineReady(instance, word)
      case 'load_failed':
        return this.#loadFailed(instance, word.error)
      case 'died':
        return this.#died(instance, word)
      case 'started':
        return instance.running.has(jobKey(word)) ? [{ type: 'say', message: word }] : []
      case 'finished':
        if (!instance.running.delete(jobKey(word))) return []
        this.#records.finished(instance)
        instance.lastUsedAt = this.#now
        return [{ type: 'say', message: word }, ...dispatchJobs(instance)]
      case 'failed':
        if (!instance.running.delete(jobKey(word))) return []
        instance.lastUsedAt = this.#now
        return [failJob(word, word.error), ...dispatchJobs(instance)]
    }
  }

  /** Memory that was counted on may be somebody else's; less of the GPU is tried once. */
  #loadFailed(instance: Instance, error: Failure): Commands {
    const { phase, load, admitted } = instance
    if (error.code !== 'out_of_memory' || phase.name !== 'starting' || admitted === null)
      return this.#fail(instance, error)
    if (instance.lessGpu || !usesGpu(instance))
      return this.#fail(instance, outOfMemory(error, admitted))
    instance.lessGpu = true
    this.#closing.set(phase.engine, instance)
    const text = `${load.manifest.name} is tried again with less of the GPU: ${error.message}`
    const close = { type: 'close_engine', engine: phase.engine } as const
    return [log('warn', text), close, ...this.#lookAgain(instance, phase.path, this.#now)]
  }

  #engineReady(instance: Instance, word: Extract<EngineWord, { type: 'ready' }>): Commands {
    if (instance.phase.name !== 'starting') return []
    const { engine, path } = instance.phase
    const { contextTokens, slots, loadMs } = word
    this.#records.ready(instance)
    instance.lastUsedAt = this.#now
    instance.phase = { name: 'ready', engine, path, contextTokens, slots, loadMs }
    return [report(instance), ...dispatchJobs(instance)]
  }

  #died(instance: Instance, word: Extract<EngineWord, { type: 'died' }>): Commands {
    if (instance.phase.name !== 'starting' && instance.phase.name !== 'ready') return []
    const { path } = instance.phase
    const windowStart = this.#now - agentLimits.workerDeathWindowMs
    instance.deaths = instance.deaths.filter(at => at > windowStart)
    if (word.exit !== heldUpExit) instance.deaths.push(this.#now)
    const guilty = this.#records.died(instance, word.exit)
    const { name } = instance.load.manifest
    const ended = [...instance.running.values()].map(job => failJob(job, word.error))
    instance.running.clear()
    const died = log('error', `the worker of ${name} died (${word.exit}): ${word.error.message}`)
    const quarantine: Commands = guilty === null ? [] : [{ type: 'quarantine', file: guilty }]
    const told = [died, ...quarantine, ...ended]
    if (guilty === null && instance.deaths.length <= agentLimits.workerDeathsMax)
      return [...told, ...this.#start(instance, path)]
    const message =
      guilty === null ? tooManyDeaths(instance.deaths.length, word.error) : refusalOf(guilty)
    // The process is gone: there is no engine to close any more.
    instance.phase = failed({ code: 'model_load_failed', message })
    return [...told, ...this.#fail(instance, { code: 'model_load_failed', message })]
  }

  #fail(instance: Instance, error: Failure): Commands {
    const engine = engineOf(instance)
    const ended = failJobs(instance, error)
    instance.phase = failed(error)
    const close: Commands = engine === undefined ? [] : [{ type: 'close_engine', engine }]
    const text = `${instance.load.manifest.name} is not loaded: ${error.message}`
    return [log('error', text), ...close, ...ended, report(instance)]
  }

  #engineClosed(engine: number): Commands {
    this.#settlesAt = this.#now + agentLimits.memorySettleMs
    const load = this.#closing.get(engine)?.load
    this.#closing.delete(engine)
    return load === undefined || this.#instances.has(load.instanceId) ? [] : [unloaded(load)]
  }
}

/** Where a path would be: an engine of the owner has the model. */
const noFile = ''

const usesGpu = ({ load }: Instance): boolean => load.withoutGpu !== true

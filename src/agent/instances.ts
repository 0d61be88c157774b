import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { InstanceId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import type { Load } from '../protocol/server-message.ts'
import { agentLimits } from './agent-limits.ts'
import type { Order } from './connection-event.ts'
import { DeathRecords, type QuarantinedFile } from './death-records.ts'
import { EngineWords } from './engine-words.ts'
import { HeldModels, noFile } from './held-models.ts'
import type { InstanceCommand, InstanceEvent } from './instance-event.ts'
import {
  engineOf,
  externalSourceOf,
  idleEnd,
  jobKey,
  newInstance,
  stayOf,
  usesGpu,
  type AnyAssign,
  type Instance,
} from './instance.ts'
import { cancelRunning, dispatchJobs, dropJobs, failJobs, isJob } from './instance-jobs.ts'
import { failed, failJob, log, report, reportProgress } from './instance-words.ts'
import { enterModel } from './model-entry.ts'
import { isIdle } from './residents.ts'
import { askForRoom } from './room.ts'

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
  readonly #held = new HeldModels()
  readonly #records: DeathRecords
  readonly #words: EngineWords
  /** Of the event that is being handled. */
  #now: Instant = 0
  #draining = false
  /** Why the GPUs may not work now. */
  #tooHot: string | null = null

  /** @param quarantined files that are not loaded */
  constructor(quarantined: readonly QuarantinedFile[] = []) {
    this.#records = new DeathRecords(quarantined)
    this.#words = new EngineWords(this.#held, this.#records)
  }

  get draining(): boolean {
    return this.#draining
  }

  /** What is held, in the order it was asked for. */
  get held(): readonly Instance[] {
    return this.#held.all
  }

  handle(event: InstanceEvent, now: Instant): Commands {
    this.#now = now
    switch (event.type) {
      case 'order':
        return this.#order(event.order, event.availableBytes)
      case 'file_progress':
        return reportProgress(this.#held.of(event.instanceId), 'fetching', event.progress)
      case 'file_ready':
        return this.#fileReady(event)
      case 'room':
        return this.#roomLook(event)
      case 'file_failed':
        return this.#fileFailed(event.instanceId, event.error)
      case 'engine':
        return this.#words.handle(event.engine, event.word, now)
      case 'engine_closed':
        return this.#held.engineClosed(event.engine, now)
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
    const known = this.#held.of(load.instanceId)
    if (known !== undefined && known.phase.name !== 'failed') {
      known.stay = stayOf(load)
      return [report(known)]
    }
    if (known === undefined && this.#held.size >= limits.instancesPerAgentMax) {
      const message = `this agent holds ${limits.instancesPerAgentMax} models; that is the limit`
      return [
        report({
          ...newInstance(load, this.#now),
          phase: failed({ code: 'agent_refused', message }),
        }),
      ]
    }
    const instance = newInstance(load, this.#now)
    this.#held.add(instance)
    if (externalSourceOf(load) !== undefined) return this.#held.start(instance, noFile)
    const quarantine = this.#records.refusal(load.manifest.sha256)
    if (quarantine !== null)
      return this.#held.fail(instance, { code: 'model_load_failed', message: quarantine })
    // Before the file is here, its size is all that is known.
    const need = { mainBytes: load.manifest.sizeBytes, gpuBytes: 0 }
    const room = { need, needNow: need, availableBytes, gpuFreeBytes: null }
    const answer = askForRoom(room, this.#held.residents)
    if (answer.type === 'refuse') return this.#held.fail(instance, answer.error)
    return [report(instance), { type: 'fetch_file', load }]
  }

  #unload(instanceId: InstanceId): Commands {
    const instance = this.#held.of(instanceId)
    // Whatever there was is gone already; with an engine still closing, the word follows when it is gone.
    return instance === undefined ? [] : this.#held.letGo(instance)
  }

  /** Memory that nobody has used for long goes back to the machine's owner; an engine of the owner holds none of ours. */
  #unloadIdle(idleUnloadMs: number | null): Commands {
    return this.held.filter(isIdle).flatMap(instance => {
      const end = idleEnd(instance, idleUnloadMs)
      if (end === null || this.#now < end) return []
      const minutes = Math.round((this.#now - instance.lastUsedAt) / 60_000)
      const text = `${instance.load.manifest.name} is unloaded: unused for ${minutes} min`
      return [log('info', text), ...this.#held.letGo(instance)]
    })
  }

  #assign(assign: AnyAssign): Commands {
    const refuse = (message: string): Commands => [
      failJob(assign, { code: 'agent_refused', message }),
    ]
    const instance = this.#held.of(assign.instanceId)
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
    for (const instance of this.held) {
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
    const instance = this.#held.of(event.instanceId)
    if (instance?.phase.name !== 'fetching') return []
    const { path, room } = event
    return enterModel(this.#held, { instance, path, room, since: this.#now }, this.#now)
  }

  #roomLook({ instanceId, look, room }: Extract<InstanceEvent, { type: 'room' }>): Commands {
    const instance = this.#held.of(instanceId)
    if (instance?.phase.name !== 'making_room' || instance.phase.look !== look) return []
    const { path, since } = instance.phase
    return enterModel(this.#held, { instance, path, room, since }, this.#now)
  }

  #fileFailed(instanceId: InstanceId, error: Failure): Commands {
    const instance = this.#held.of(instanceId)
    return instance?.phase.name === 'fetching' ? this.#held.fail(instance, error) : []
  }
}

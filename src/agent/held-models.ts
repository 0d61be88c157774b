import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { InstanceId } from '../protocol/ids.ts'
import { agentLimits } from './agent-limits.ts'
import type { InstanceCommand } from './instance-event.ts'
import { failJobs } from './instance-jobs.ts'
import { failed, log, report, unloaded } from './instance-words.ts'
import { engineOf, externalSourceOf, type Instance } from './instance.ts'
import { residentsOf } from './residents.ts'

type Commands = readonly InstanceCommand[]

/** The models that are wanted here, what has become of each, and the ways on that every part of `Instances` shares. */
export class HeldModels {
  readonly #instances = new Map<InstanceId, Instance>()
  /** Engines that were told to close and are not gone yet. */
  readonly #closing = new Map<number, Instance>()
  #engines = 0
  #looks = 0
  /** Until then memory of processes that have ended may still come back. */
  #settlesAt: Instant = -Infinity

  /** In the order it was asked for. */
  get all(): readonly Instance[] {
    return [...this.#instances.values()]
  }

  get size(): number {
    return this.#instances.size
  }

  of(instanceId: InstanceId): Instance | undefined {
    return this.#instances.get(instanceId)
  }

  add(instance: Instance): void {
    this.#instances.set(instance.load.instanceId, instance)
  }

  get residents(): ReturnType<typeof residentsOf> {
    return residentsOf(this.all, [...this.#closing.values()])
  }

  /** Whether an engine of this instance is still on its way out. */
  isLeaving(instance: Instance): boolean {
    return [...this.#closing.values()].includes(instance)
  }

  /** Whether what the system says of its memory will change without anybody's doing. */
  isSettling(now: Instant): boolean {
    return this.#closing.size > 0 || now < this.#settlesAt
  }

  start(instance: Instance, path: string): Commands {
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

  lookAgain(instance: Instance, path: string, since: Instant): Commands {
    const look = ++this.#looks
    instance.phase = { name: 'making_room', path, since, look }
    const { load } = instance
    return [{ type: 'look_for_room', load, path, look, afterMs: agentLimits.roomLookMs }]
  }

  /** Ends an instance's engine and keeps the instance. */
  close(instance: Instance, engine: number): Commands {
    this.#closing.set(engine, instance)
    return [{ type: 'close_engine', engine }]
  }

  letGo(instance: Instance): Commands {
    const { instanceId } = instance.load
    this.#instances.delete(instanceId)
    const ended = failJobs(instance, {
      code: 'model_unloaded',
      message: 'the model is being unloaded here',
    })
    const engine = engineOf(instance)
    if (engine === undefined)
      return [...ended, { type: 'abandon_fetch', instanceId }, unloaded(instance.load)]
    return [...ended, ...this.close(instance, engine)]
  }

  fail(instance: Instance, error: Failure): Commands {
    const engine = engineOf(instance)
    const ended = failJobs(instance, error)
    instance.phase = failed(error)
    const close: Commands = engine === undefined ? [] : [{ type: 'close_engine', engine }]
    const text = `${instance.load.manifest.name} is not loaded: ${error.message}`
    return [log('error', text), ...close, ...ended, report(instance)]
  }

  engineClosed(engine: number, now: Instant): Commands {
    this.#settlesAt = now + agentLimits.memorySettleMs
    const load = this.#closing.get(engine)?.load
    this.#closing.delete(engine)
    return load === undefined || this.#instances.has(load.instanceId) ? [] : [unloaded(load)]
  }
}

/** Where a path would be: an engine of the owner has the model. */
export const noFile = ''

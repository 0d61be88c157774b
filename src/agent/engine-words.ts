import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import { agentLimits } from './agent-limits.ts'
import { refusalOf, type DeathRecords } from './death-records.ts'
import { heldUpExit } from './engine/engine.ts'
import type { HeldModels } from './held-models.ts'
import type { EngineWord, InstanceCommand } from './instance-event.ts'
import { dispatchJobs } from './instance-jobs.ts'
import { failed, failJob, log, report, reportProgress, tooManyDeaths } from './instance-words.ts'
import { engineOf, jobKey, usesGpu, type Instance } from './instance.ts'
import { outOfMemory } from './room.ts'

type Commands = readonly InstanceCommand[]

/** What follows from the words of engines. */
export class EngineWords {
  readonly #held: HeldModels
  readonly #records: DeathRecords
  /** Of the word that is being handled. */
  #now: Instant = 0

  constructor(held: HeldModels, records: DeathRecords) {
    this.#held = held
    this.#records = records
  }

  handle(engine: number, word: EngineWord, now: Instant): Commands {
    this.#now = now
    const instance = this.#held.all.find(held => engineOf(held) === engine)
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
      return this.#held.fail(instance, error)
    if (instance.lessGpu || !usesGpu(instance))
      return this.#held.fail(instance, outOfMemory(error, admitted))
    instance.lessGpu = true
    const text = `${load.manifest.name} is tried again with less of the GPU: ${error.message}`
    const close = this.#held.close(instance, phase.engine)
    return [log('warn', text), ...close, ...this.#held.lookAgain(instance, phase.path, this.#now)]
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
      return [...told, ...this.#held.start(instance, path)]
    const message =
      guilty === null ? tooManyDeaths(instance.deaths.length, word.error) : refusalOf(guilty)
    // The process is gone: there is no engine to close any more.
    instance.phase = failed({ code: 'model_load_failed', message })
    return [...told, ...this.#held.fail(instance, { code: 'model_load_failed', message })]
  }
}

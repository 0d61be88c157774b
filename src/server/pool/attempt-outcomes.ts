import type { Clock, Instant } from '../../clock.ts'
import { isWorkerEnd, type Failure } from '../../protocol/errors.ts'
import type { AgentId, JobId } from '../../protocol/ids.ts'
import { causeOf, type AttemptCause } from '../../scheduler/attempt-cause.ts'
import type { TokenUsage } from '../inference.ts'
import type { PoisonWatch, WorkerDeath } from './poison-watch.ts'
import type { RegistryWriter } from './registry-writer.ts'
import type { ReliabilityWatch } from './reliability-watch.ts'
import type { RequestContent } from './request-content.ts'

/** A worker's death, and what it has cost its agent so far. */
export type ChargedDeath = WorkerDeath & {
  /** Jobs that were in the worker and have not been reported yet. */
  readonly unreported: Set<JobId>
  charged: boolean
  /** A request was at fault: it costs the agent nothing, whatever else was in the worker. */
  forgiven: boolean
}

/** A job as far as its attempts are judged. */
export type JudgedJob = {
  readonly request: { readonly jobId: JobId; readonly model: string }
  readonly content: RequestContent
}

export type AttemptOutcomesDeps = {
  readonly clock: Clock
  readonly registry: RegistryWriter
  readonly reliability: ReliabilityWatch
  readonly poison: PoisonWatch<ChargedDeath>
  /** Jobs that run on an agent with a model, and so in one worker. */
  readonly jobsOn: (agentId: AgentId, model: string) => readonly JobId[]
  /** A pong of the agent is overdue. */
  readonly isPingLate: (agentId: AgentId) => boolean
  /** An inference ended on the agent; `ok` false: it failed, and that was the machine's own doing. */
  readonly onOutcome: (agentId: AgentId, ok: boolean) => void
  /** A request ended two workers and is refused from now on. */
  readonly onPoison: (model: string, agentIds: readonly AgentId[]) => void
}

/** Deaths that wait for the reports of all their jobs; one a client cancelled never comes. */
export const deathsReportedMax = 1_000

/**
 * Finds out whose doing it was that attempts ended as they did, and puts it on the right record: the agent's reliability, its
 * history, its hardware's health, or the list of requests that are poison.
 */
export class AttemptOutcomes {
  readonly #deps: AttemptOutcomesDeps
  /** Agents that failed a job which has not ended yet; one that failed it twice counts once. */
  readonly #faults = new Map<JobId, Set<AgentId>>()
  /** By agent and model. */
  readonly #deaths = new Map<string, ChargedDeath>()

  constructor(deps: AttemptOutcomesDeps) {
    this.#deps = deps
  }

  /** Deaths of which not every job has been reported. */
  get deathsOpen(): number {
    return this.#deaths.size
  }

  /** @returns why the request is not run anywhere any more; null: it may be */
  quarantine({ content }: Pick<JudgedJob, 'content'>): Failure | null {
    return this.#deps.poison.refusal(content, this.#deps.clock.now())
  }

  attemptFailed(job: JudgedJob, agentId: AgentId, error: Failure): void {
    const { clock, registry, reliability, isPingLate } = this.#deps
    const { jobId } = job.request
    const now = clock.now()
    const death = isWorkerEnd(error.code) ? this.#deathOf(job, agentId, now) : null
    const deaths = death === null ? [] : this.#suspect(job, death, now)
    const killedElsewhere = deaths.some(other => other.agentId !== agentId)
    const cause = causeOf(error.code, { pingLate: isPingLate(agentId), killedElsewhere })
    if (killedElsewhere) this.#forgive(jobId, deaths, now)
    const charge = cause === 'node' && isFirstCharge(death, deaths)
    if (charge && death !== null) death.charged = true
    const change = charge ? reliability.failed(agentId, now) : null
    const type = isWorkerEnd(error.code) ? 'worker_died' : 'failed_request'
    const metadata = { code: error.code, cause, ...change }
    registry.history({ agentId, type, at: now, metadata })
    if (cause === 'node') this.#fault(jobId, agentId)
  }

  /** Usage is another's business; here it is only shown in the agent's history. */
  jobEnded(job: JudgedJob, completedBy: AgentId | null, { completionTokens }: TokenUsage): void {
    const { clock, registry, reliability, poison, onOutcome } = this.#deps
    const { jobId, model } = job.request
    this.#tellFaults(jobId, completedBy)
    if (completedBy === null) return
    const at = clock.now()
    poison.completed(job.content)
    const change = reliability.completed(completedBy, at)
    const metadata = { model, completionTokens, ...change }
    registry.history({ agentId: completedBy, type: 'completed_request', at, metadata })
    onOutcome(completedBy, true)
  }

  /** A worker's jobs are reported one after another; together they are one death. */
  #deathOf({ request: { jobId, model } }: JudgedJob, agentId: AgentId, now: Instant): ChargedDeath {
    const worker = `${agentId} ${model}`
    const known = this.#deaths.get(worker)
    if (known?.unreported.delete(jobId) === true) return known
    const unreported = new Set(this.#deps.jobsOn(agentId, model))
    unreported.delete(jobId)
    const jobs = unreported.size + 1
    const death = { agentId, at: now, jobs, unreported, charged: false, forgiven: false }
    this.#deaths.delete(worker)
    if (jobs === 1) return death
    this.#deaths.set(worker, death)
    for (const oldest of this.#deaths.keys()) {
      if (this.#deaths.size <= deathsReportedMax) break
      this.#deaths.delete(oldest)
    }
    return death
  }

  #suspect(job: JudgedJob, death: ChargedDeath, now: Instant): readonly ChargedDeath[] {
    const { deaths, becamePoison } = this.#deps.poison.workerEnded(job.content, death, now)
    if (becamePoison)
      this.#deps.onPoison(job.request.model, [...new Set(deaths.map(({ agentId }) => agentId))])
    return deaths
  }

  /** One request ended workers of several machines: none of them is to blame. */
  #forgive(jobId: JobId, deaths: readonly ChargedDeath[], now: Instant): void {
    const { registry, reliability } = this.#deps
    this.#faults.delete(jobId)
    for (const death of deaths) {
      const { agentId, charged } = death
      death.forgiven = true
      death.charged = false
      if (!charged) continue
      const change = reliability.tookBack(agentId, death.at, now)
      const text = 'a request that ended its worker ended another machine’s too'
      const metadata = { text, cause: 'request' satisfies AttemptCause, ...change }
      registry.history({ agentId, type: 'fault_taken_back', at: now, metadata })
    }
  }

  #fault(jobId: JobId, agentId: AgentId): void {
    const faults = this.#faults.get(jobId)
    if (faults === undefined) this.#faults.set(jobId, new Set([agentId]))
    else faults.add(agentId)
  }

  /** A request that several machines failed and none completed says more about itself than about them. */
  #tellFaults(jobId: JobId, completedBy: AgentId | null): void {
    const faults = this.#faults.get(jobId) ?? new Set()
    this.#faults.delete(jobId)
    if (completedBy === null && faults.size > 1) return
    for (const agentId of faults) this.#deps.onOutcome(agentId, false)
  }
}

/** A death costs once, and a request that ends the worker of one machine again and again costs that machine once. */
const isFirstCharge = (death: ChargedDeath | null, deaths: readonly ChargedDeath[]): boolean =>
  death === null || (!death.forgiven && deaths.every(({ charged }) => !charged))

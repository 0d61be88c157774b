import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import type { SchedulerCommand } from './command.ts'
import type { ModelFacts, SchedulerEvent } from './event.ts'
import { infeasible } from './feasibility.ts'
import { Fleet, type Agent, type Instance } from './fleet.ts'
import { standingOf } from './liveness.ts'
import { choosePlacement, type Placement } from './placement.ts'
import { WaitingLine } from './waiting-line.ts'

/** A job that is placed, or was and wants another agent. Waiting jobs are in the waiting line. */
type Job = {
  readonly model: string
  /** Agents that failed it; they are not asked again. */
  readonly tried: Set<AgentId>
  lease: { readonly agentId: AgentId; readonly instanceId: InstanceId } | null
}

/**
 * Decides where work goes: `handle(event, now)` returns what to do. It owns what is believed about the fleet and
 * every lease; one caller (the dispatcher) feeds it all events in order, so there are no locks. README.md in this
 * folder tells the contracts.
 */
export class Scheduler {
  readonly #fleet = new Fleet()
  readonly #jobs = new Map<JobId, Job>()
  readonly #line = new WaitingLine()
  #models = new Map<string, ModelFacts>()
  #modelsBySha256 = new Map<string, ModelFacts>()

  handle(event: SchedulerEvent, now: Instant): readonly SchedulerCommand[] {
    const out: SchedulerCommand[] = []
    switch (event.type) {
      case 'catalogue':
        this.#setCatalogue(event.models, out)
        break
      case 'agent_up':
        this.#agentUp(event, out, now)
        break
      case 'agent_down':
        this.#agentDown(event.agentId, out, now)
        break
      case 'admin_state':
      case 'heartbeat':
      case 'ping':
      case 'reliability':
        this.#agentChanged(event, out, now)
        break
      case 'instance':
        this.#instanceChanged(event, out)
        break
      case 'load_model':
        this.#loadModel(event, out)
        break
      case 'unload_model':
        this.#unloadModel(event.model, out)
        break
      case 'request':
        this.#request(event, out, now)
        break
      case 'retry':
        this.#retry(event.jobId, event.spareInstanceId, out, now)
        break
      case 'release':
        this.#release(event.jobId, out)
        break
      case 'tick':
        this.#tick(out, now)
        break
    }
    return out
  }

  /** Requests that wait for a slot. */
  get waiting(): number {
    return this.#line.length
  }

  /** What is believed about an agent; for display, never to decide upon. */
  agent(id: AgentId): Readonly<Agent> | undefined {
    return this.#fleet.agents.get(id)
  }

  agents(): Iterable<Readonly<Agent>> {
    return this.#fleet.agents.values()
  }

  modelName(sha256: string): string | undefined {
    return this.#modelsBySha256.get(sha256)?.name
  }

  /** Places a new job, or one that lost its agent; see placement.ts for the decision itself. */
  #place(jobId: JobId, job: Job, spare: InstanceId, out: SchedulerCommand[], now: Instant): void {
    const placement = this.#choose(job)
    if (placement.type !== 'wait') {
      this.#act(jobId, job, spare, placement, out)
      return
    }
    const waiting = { jobId, model: job.model, since: now, spareInstanceId: spare }
    const position = this.#line.add(waiting)
    if (position === null) this.#refuse(jobId, queueFull, out)
    else out.push({ type: 'queued', jobId, position })
  }

  #choose(job: Job): Placement {
    const model = this.#models.get(job.model)
    return model === undefined
      ? { type: 'refuse', error: { code: 'model_not_found', message: notFound(job.model) } }
      : choosePlacement(this.#fleet, model, job.tried)
  }

  #act(
    jobId: JobId,
    job: Job,
    spare: InstanceId,
    placement: Exclude<Placement, { type: 'wait' }>,
    out: SchedulerCommand[],
  ): void {
    if (placement.type === 'refuse') {
      this.#refuse(jobId, placement.error, out)
      return
    }
    const { agent } = placement
    let instance: Instance
    if (placement.type === 'load') {
      const { model } = placement
      instance = this.#fleet.add(agent, spare, model.sha256, model.slots)
      out.push({ type: 'load', agentId: agent.id, instanceId: instance.id, model })
    } else instance = placement.instance
    const fallbacks = placement.type === 'lease' ? placement.fallbacks : []
    this.#fleet.lease(agent, instance, jobId)
    job.lease = { agentId: agent.id, instanceId: instance.id }
    out.push({ type: 'lease', jobId, agentId: agent.id, instanceId: instance.id, fallbacks })
  }

  #refuse(jobId: JobId, error: Failure, out: SchedulerCommand[]): void {
    this.#jobs.delete(jobId)
    out.push({ type: 'refuse', jobId, error })
  }

  /** Gives waiting requests the slots that have become free, first come first served within a model. */
  #pump(out: SchedulerCommand[]): void {
    for (const model of this.#line.models()) {
      for (let next = this.#line.first(model); next !== undefined; next = this.#line.first(model)) {
        const job = this.#jobs.get(next.jobId)
        if (job === undefined) throw new Error('a waiting job must be known')
        const placement = this.#choose(job)
        if (placement.type === 'wait') break
        this.#line.remove(model, next.jobId)
        this.#act(next.jobId, job, next.spareInstanceId, placement, out)
      }
    }
  }

  #request(
    event: Extract<SchedulerEvent, { type: 'request' }>,
    out: SchedulerCommand[],
    now: Instant,
  ): void {
    const job: Job = { model: event.model, tried: new Set(), lease: null }
    this.#jobs.set(event.jobId, job)
    this.#place(event.jobId, job, event.spareInstanceId, out, now)
  }

  #retry(jobId: JobId, spare: InstanceId, out: SchedulerCommand[], now: Instant): void {
    const job = this.#jobs.get(jobId)
    if (job === undefined) return
    if (job.lease !== null) {
      job.tried.add(job.lease.agentId)
      this.#fleet.release(job.lease.agentId, job.lease.instanceId, jobId)
      job.lease = null
    }
    this.#place(jobId, job, spare, out, now)
    this.#pump(out)
  }

  #release(jobId: JobId, out: SchedulerCommand[]): void {
    const job = this.#jobs.get(jobId)
    if (job === undefined) return
    this.#jobs.delete(jobId)
    if (job.lease === null) this.#line.remove(job.model, jobId)
    else this.#fleet.release(job.lease.agentId, job.lease.instanceId, jobId)
    this.#pump(out)
  }

  #setCatalogue(models: readonly ModelFacts[], out: SchedulerCommand[]): void {
    this.#models = new Map(models.map(model => [model.name, model]))
    this.#modelsBySha256 = new Map(models.map(model => [model.sha256, model]))
    this.#pump(out)
  }

  #agentUp(
    facts: Extract<SchedulerEvent, { type: 'agent_up' }>,
    out: SchedulerCommand[],
    now: Instant,
  ): void {
    const agent = this.#fleet.up(facts, sha256 => this.#modelsBySha256.get(sha256)?.slots ?? 1, now)
    out.push({ type: 'standing', agentId: agent.id, standing: agent.standing })
    for (const instance of agent.instances.values())
      if (!this.#modelsBySha256.has(instance.modelSha256))
        out.push({ type: 'unload', agentId: agent.id, instanceId: instance.id })
    this.#pump(out)
  }

  #agentDown(agentId: AgentId, out: SchedulerCommand[], now: Instant): void {
    const agent = this.#fleet.agents.get(agentId)
    if (agent === undefined) return
    this.#fleet.down(agent)
    this.#announce(agent, out, now)
    this.#pump(out)
  }

  #agentChanged(
    event: Extract<SchedulerEvent, { type: 'admin_state' | 'heartbeat' | 'ping' | 'reliability' }>,
    out: SchedulerCommand[],
    now: Instant,
  ): void {
    const agent = this.#fleet.agents.get(event.agentId)
    if (agent === undefined) return
    if (event.type === 'admin_state') agent.adminState = event.adminState
    else if (event.type === 'ping') agent.pingLate = event.late
    else if (event.type === 'reliability') agent.reliability = event.reliability
    else {
      agent.lastHeartbeatAt = now
      agent.draining = event.draining
      agent.latencyMs = event.latencyMs
    }
    this.#announce(agent, out, now)
    this.#pump(out)
  }

  #instanceChanged(
    event: Extract<SchedulerEvent, { type: 'instance' }>,
    out: SchedulerCommand[],
  ): void {
    const agent = this.#fleet.agents.get(event.agentId)
    if (agent === undefined) return
    this.#fleet.report(agent, event, this.#modelsBySha256.get(event.modelSha256)?.slots ?? 1)
    this.#pump(out)
  }

  #loadModel(
    event: Extract<SchedulerEvent, { type: 'load_model' }>,
    out: SchedulerCommand[],
  ): void {
    const model = this.#models.get(event.model)
    if (model === undefined) return
    const spare = [...event.spareInstanceIds]
    for (const agent of this.#fleet.agents.values()) {
      if (event.agentId !== null && agent.id !== event.agentId) continue
      if (this.#fleet.instanceOf(agent, model) !== undefined) continue
      if (infeasible(agent, model, this.#fleet) !== null) continue
      const instanceId = spare.pop()
      if (instanceId === undefined) return
      this.#fleet.add(agent, instanceId, model.sha256, model.slots)
      out.push({ type: 'load', agentId: agent.id, instanceId, model })
    }
  }

  #unloadModel(name: string, out: SchedulerCommand[]): void {
    const model = this.#models.get(name)
    if (model === undefined) return
    for (const agent of this.#fleet.holders(model.sha256))
      for (const instance of agent.instances.values())
        if (instance.modelSha256 === model.sha256)
          out.push({ type: 'unload', agentId: agent.id, instanceId: instance.id })
  }

  #tick(out: SchedulerCommand[], now: Instant): void {
    for (const waiting of this.#line.overdue(now)) {
      this.#line.remove(waiting.model, waiting.jobId)
      const message = 'every slot stayed busy for too long; try again later'
      this.#refuse(waiting.jobId, { code: 'timeout', message }, out)
    }
    for (const agent of this.#fleet.agents.values()) this.#announce(agent, out, now)
  }

  /** Tells the dispatcher when an agent's standing has changed; one that is offline for good is let go. */
  #announce(agent: Agent, out: SchedulerCommand[], now: Instant): void {
    const standing = standingOf(agent, now)
    const before = agent.standing
    if (before.liveness === standing.liveness && before.status === standing.status) return
    agent.standing = standing
    out.push({ type: 'standing', agentId: agent.id, standing })
    if (standing.status !== 'offline') return
    if (agent.connected) out.push({ type: 'disconnect', agentId: agent.id })
    else this.#fleet.remove(agent)
  }
}

const queueFull: Failure = {
  code: 'queue_full',
  message: 'too many requests are waiting already; try again shortly',
}

const notFound = (model: string): string =>
  `the model ${model} does not exist; GET /v1/models lists those that do`

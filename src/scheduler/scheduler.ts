import type { Instant } from '../clock.ts'
import type { Failure } from '../protocol/errors.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import { isStranded, type Agent, type Instance } from './agent.ts'
import type { SchedulerCommand } from './command.ts'
import type { ModelFacts, SchedulerEvent } from './event.ts'
import { Fleet } from './fleet.ts'
import type { Holders } from './holders.ts'
import { Job, waitingOf } from './job.ts'
import { standingOf } from './liveness.ts'
import { ModelNames } from './model-names.ts'
import { OperatorOrders } from './operator-orders.ts'
import { choosePlacement, chooseStandby, type Placement } from './placement.ts'
import { Pump } from './pump.ts'
import { WaitingRoom, type QueueRow } from './waiting-room.ts'
import type { Waiting } from './waiting.ts'

type EventOf<Type extends SchedulerEvent['type']> = Extract<SchedulerEvent, { type: Type }>

/**
 * Decides where work goes: `handle(event, now)` returns what to do. It owns what is believed about the fleet and
 * every lease; one caller (the dispatcher) feeds it all events in order, so there are no locks. README.md in this
 * folder tells the contracts.
 */
export class Scheduler {
  readonly #fleet = new Fleet()
  readonly #jobs = new Map<JobId, Job>()
  readonly #models = new ModelNames()
  readonly #room = new WaitingRoom()
  readonly #queue = this.#room.queue
  readonly #pump = new Pump({
    fleet: this.#fleet,
    models: this.#models,
    queue: this.#queue,
    place: waiting => this.#place(waiting),
  })
  readonly #orders = new OperatorOrders({
    fleet: this.#fleet,
    models: this.#models,
    load: (agent, instanceId, model) => this.#load(agent, instanceId, model),
    unload: (agent, instance) => this.#leave(agent, instance),
    tell: command => this.#out.push(command),
  })
  /** Of the event that is being handled. */
  #now: Instant = 0
  #out: SchedulerCommand[] = []

  handle(event: SchedulerEvent, now: Instant): readonly SchedulerCommand[] {
    this.#now = now
    this.#out = []
    this.#fleet.wake(now)
    this.#take(event)
    this.#pump.run(now)
    this.#orders.report()
    return this.#out
  }

  /** Requests that wait for a slot. */
  get waiting(): number {
    return this.#queue.length
  }

  /** The same by model and class, with estimates; for display. */
  queue(now: Instant): readonly QueueRow[] {
    return this.#room.rows(now)
  }

  /** What is believed about an agent; for display, never to decide upon. */
  agent(id: AgentId): Readonly<Agent> | undefined {
    return this.#fleet.agents.get(id)
  }

  /** Whether an operator wants the model in memory there; for display. */
  isWanted(agentId: AgentId, model: string): boolean {
    return this.#orders.isWanted(agentId, model)
  }

  agents(): Iterable<Readonly<Agent>> {
    return this.#fleet.agents.values()
  }

  /** The catalogue; for display. */
  models(): Iterable<ModelFacts> {
    return this.#models.all()
  }

  modelName(sha256: string): string | undefined {
    return this.#models.of(sha256).at(-1)?.name
  }

  #take(event: SchedulerEvent): void {
    switch (event.type) {
      case 'catalogue':
        this.#setCatalogue(event.models)
        return
      case 'agent_up':
        this.#agentUp(event)
        return
      case 'agent_down':
        this.#agentDown(event.agentId)
        return
      case 'admin_state':
      case 'external_models':
      case 'heartbeat':
      case 'inventory':
      case 'ping':
      case 'health':
      case 'reliability':
        this.#agentChanged(event)
        return
      case 'instance':
        this.#instanceChanged(event)
        return
      case 'load_model':
        this.#orders.load(event, this.#now)
        return
      case 'unload_model':
        this.#orders.unload(event, this.#now)
        return
      case 'model_orders':
        this.#orders.restore(event, this.#now)
        return
      case 'model_stay':
        this.#orders.stayChanged(event.model)
        return
      case 'request':
        this.#request(event)
        return
      case 'retry':
        this.#retry(event)
        return
      case 'race':
        this.#race(event.jobId)
        return
      case 'drop':
        this.#jobs.get(event.jobId)?.drop(this.#fleet, event.agentId, event.formerAgent)
        return
      case 'release':
        this.#release(event)
        return
      case 'tick':
        this.#tick()
    }
  }

  #request(event: EventOf<'request'>): void {
    const model = this.#models.get(event.model)
    const { jobId, spareInstanceId } = event
    if (model === undefined) {
      this.#refuse(jobId, { code: 'model_not_found', message: notFound(event.model) })
      return
    }
    const job = new Job(event, model)
    this.#jobs.set(jobId, job)
    const placement = this.#choose(job)
    if (placement.type !== 'wait') {
      if (placement.type !== 'refuse') this.#queue.begun(model.name, job)
      this.#act(job, spareInstanceId, placement)
      return
    }
    const told = this.#room.enter(waitingOf(job, spareInstanceId, this.#now), this.#now)
    if ('code' in told) this.#refuse(jobId, told)
    else this.#out.push(told)
  }

  #retry({ jobId, spareInstanceId, formerAgent }: EventOf<'retry'>): void {
    const job = this.#jobs.get(jobId)
    if (job?.isLeased !== true) return
    job.letGo(this.#fleet, formerAgent, true)
    this.#room.interrupted(job.model.name, jobId)
    const placement = this.#choose(job)
    if (placement.type !== 'wait') {
      this.#act(job, spareInstanceId, placement)
      return
    }
    const waiting = waitingOf(job, spareInstanceId, this.#now)
    this.#out.push(this.#room.enterInterrupted(waiting, this.#now))
  }

  #release({ jobId, costTokens, failed = false }: EventOf<'release'>): void {
    const job = this.#jobs.get(jobId)
    if (job === undefined) return
    this.#jobs.delete(jobId)
    if (job.isLeased) job.letGo(this.#fleet, null, failed)
    else this.#queue.leave(jobId)
    if (job.begun) this.#room.ended(job.model.name, job, costTokens ?? null, this.#now)
  }

  #race(jobId: JobId): void {
    const job = this.#jobs.get(jobId)
    const wish = job?.standbyWish ?? null
    const holders = job === undefined ? undefined : this.#holdersOf(job)
    if (job === undefined || wish === null || holders === undefined) return
    const { agent, instance } = chooseStandby(holders, wish) ?? {}
    if (agent === undefined || instance === undefined) return
    job.lease(this.#fleet, agent, instance)
    const { contextTokens, id: instanceId } = instance
    this.#out.push({ type: 'standby', jobId, agentId: agent.id, instanceId, contextTokens })
  }

  /** Undefined: its weights are not in the catalogue any more. */
  #holdersOf({ model: { name, sha256 } }: Job): Holders | undefined {
    const holders = this.#fleet.index.of(name)
    return holders?.model.sha256 === sha256 ? holders : undefined
  }

  #choose(job: Job): Placement {
    const holders = this.#holdersOf(job)
    if (holders !== undefined) return choosePlacement(this.#fleet, holders, job, this.#now)
    const message = `the model ${job.model.name} was taken out of the catalogue`
    return { type: 'refuse', error: { code: 'model_not_found', message } }
  }

  #act(
    job: Job,
    spare: InstanceId,
    placement: Exclude<Placement, { type: 'wait' }>,
    waitedMs = 0,
  ): void {
    const { jobId } = job
    if (placement.type === 'refuse') {
      this.#refuse(jobId, placement.error)
      return
    }
    const { agent } = placement
    const instance =
      placement.type === 'lease' ? placement.instance : this.#load(agent, spare, job.model)
    const fallbacks = placement.type === 'lease' ? placement.fallbacks : noFallbacks
    job.fallbacks = fallbacks
    job.continuedTokens = placement.type === 'lease' ? placement.continuedTokens : 0
    job.lease(this.#fleet, agent, instance)
    this.#holdersOf(job)?.given(agent.id)
    job.begun = true
    this.#room.began(job.model.name, jobId, this.#now)
    this.#out.push({
      type: 'lease',
      jobId,
      agentId: agent.id,
      instanceId: instance.id,
      ready: instance.status.state === 'ready',
      contextTokens: instance.contextTokens,
      fallbacks,
      waitedMs,
    })
    if (placement.type === 'lease' && placement.better !== null)
      this.#load(placement.better, spare, job.model)
  }

  #load(agent: Agent, instanceId: InstanceId, model: ModelFacts): Instance {
    const instance = this.#fleet.load(agent, instanceId, model, this.#now)
    const withoutGpu = instance.withoutGpu && model.external === undefined
    this.#out.push({ type: 'load', agentId: agent.id, instanceId, model, withoutGpu })
    this.#orders.loaded(agent, model)
    return instance
  }

  #refuse(jobId: JobId, error: Failure): void {
    const job = this.#jobs.get(jobId)
    this.#jobs.delete(jobId)
    if (job?.begun === true) this.#room.ended(job.model.name, job, null, this.#now)
    this.#out.push({ type: 'refuse', jobId, error })
  }

  /** @returns false when it goes on waiting */
  #place(waiting: Waiting): boolean {
    const { jobId, spareInstanceId } = waiting
    const job = this.#jobs.get(jobId)
    if (job === undefined) throw new Error('a waiting job must be known')
    const placement = this.#choose(job)
    if (placement.type === 'wait') return false
    if (placement.type === 'refuse') this.#queue.leave(jobId)
    else this.#queue.begin(waiting)
    this.#act(job, spareInstanceId, placement, this.#now - waiting.since)
    return true
  }

  #setCatalogue(models: readonly ModelFacts[]): void {
    this.#models.set(models)
    this.#room.keepOnly(name => this.#models.has(name))
    this.#fleet.setCatalogue(models, this.#now)
    this.#unload(instance => this.#models.of(instance.modelSha256).length === 0)
    this.#orders.catalogueChanged()
  }

  #agentUp(facts: EventOf<'agent_up'>): void {
    const agent = this.#fleet.up(facts, this.#now)
    this.#out.push({ type: 'standing', agentId: agent.id, standing: agent.standing })
    this.#unload(instance => this.#models.of(instance.modelSha256).length === 0, [agent])
    this.#orders.agentUp(agent, this.#now)
  }

  #agentDown(agentId: AgentId): void {
    const agent = this.#fleet.agents.get(agentId)
    if (agent === undefined) return
    this.#fleet.down(agent, this.#now)
    this.#announce(agent)
    if (agent.standing.status === 'offline') this.#fleet.remove(agent, this.#now)
  }

  #agentChanged(
    event: EventOf<
      | 'admin_state'
      | 'external_models'
      | 'health'
      | 'heartbeat'
      | 'inventory'
      | 'ping'
      | 'reliability'
    >,
  ): void {
    const agent = this.#fleet.agents.get(event.agentId)
    if (agent === undefined) return
    let isRating = event.type === 'reliability'
    if (event.type === 'admin_state') agent.adminState = event.adminState
    else if (event.type === 'inventory') this.#fleet.setInventory(agent, event.inventory)
    else if (event.type === 'external_models') this.#fleet.setExternalModels(agent, event.models)
    else if (event.type === 'ping') agent.pingLate = event.late
    else if (event.type === 'reliability') agent.reliability = event.reliability
    else if (event.type === 'health') this.#fleet.setHealth(agent, event.health)
    else {
      agent.lastHeartbeatAt = this.#now
      isRating = agent.draining === event.draining
      agent.draining = event.draining
      agent.latencyMs = event.latencyMs
    }
    if (isRating) this.#fleet.rated(agent)
    else this.#fleet.changed(agent, this.#now)
    this.#announce(agent)
  }

  #instanceChanged(event: EventOf<'instance'>): void {
    const { agentId, instanceId } = event
    const agent = this.#fleet.agents.get(agentId)
    if (agent === undefined) return
    const bySelf = agent.instances.get(instanceId)?.leaving === false
    this.#fleet.report(agent, event, this.#now)
    if (event.status.state === 'unloaded')
      this.#orders.gone(agent, event.modelSha256, bySelf, this.#now)
    // The agent keeps a failed instance until it is told to let it go.
    if (event.status.state === 'failed') this.#out.push({ type: 'unload', agentId, instanceId })
  }

  #unload(
    which: (instance: Instance, agent: Agent) => boolean,
    agents: Iterable<Agent> = this.#fleet.agents.values(),
  ): void {
    for (const agent of agents)
      for (const instance of agent.instances.values()) {
        if (instance.leaving || !which(instance, agent)) continue
        this.#leave(agent, instance)
      }
  }

  #leave(agent: Agent, instance: Instance): void {
    this.#fleet.leave(agent, instance, this.#now)
    this.#out.push({ type: 'unload', agentId: agent.id, instanceId: instance.id })
  }

  #tick(): void {
    for (const { jobId, error } of this.#room.takeOverdue(this.#now)) this.#refuse(jobId, error)
    for (const agent of this.#fleet.agents.values()) this.#announce(agent)
    // To be loaded anew without the GPU when somebody asks for it; what still runs there may end.
    this.#unload((instance, agent) => instance.leases.size === 0 && isStranded(agent, instance))
    this.#orders.tick(this.#now)
    this.#out.push(...this.#room.news(this.#now))
  }

  /** Tells the dispatcher when an agent's standing has changed; one that is offline for good is let go. */
  #announce(agent: Agent): void {
    const standing = standingOf(agent, this.#now)
    const before = agent.standing
    if (before.liveness === standing.liveness && before.status === standing.status) return
    agent.standing = standing
    this.#fleet.changed(agent, this.#now)
    this.#out.push({ type: 'standing', agentId: agent.id, standing })
    if (standing.status !== 'offline') return
    if (agent.connected) this.#out.push({ type: 'disconnect', agentId: agent.id })
    else this.#fleet.remove(agent, this.#now)
  }
}

const noFallbacks: readonly AgentId[] = []

const notFound = (model: string): string =>
  `the model ${model} does not exist; GET /v1/models lists those that do`

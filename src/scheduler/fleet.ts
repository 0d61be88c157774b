import type { Instant } from '../clock.ts'
import { externalModelSha256, type ExternalModel } from '../models/external-model.ts'
import type { Inventory } from '../protocol/gpu.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import { returnGraceMs, type Agent, type Instance } from './agent.ts'
import { Capacity } from './capacity.ts'
import type { AgentFacts, AgentHealth, InstanceReport, ModelFacts } from './event.ts'
import { FleetNews } from './fleet-news.ts'
import { HolderIndex } from './holders.ts'
import { standingOf } from './liveness.ts'
import { PrefixAffinity, type KeptPrompt } from './prefix-affinity.ts'

/** Nothing is known against it. */
const healthy: AgentHealth = { stopped: null, slowed: false, unfitGpus: {} }

/** A model that does not load is asked for again after half a minute, then after twice as long, up to a quarter hour. */
const failedLoadDelayMinMs = 30_000
const failedLoadDelayMaxMs = 900_000

type Freed = { readonly agent: Agent; readonly modelSha256: string }

/**
 * All agents, with an index by model so that a decision looks only at a few that hold it. Every method keeps the index; who
 * changes an agent's fields says so by `changed` or `rated`.
 */
export class Fleet {
  readonly agents = new Map<AgentId, Agent>()
  readonly index = new HolderIndex()
  readonly news = new FleetNews()
  readonly prefixes = new PrefixAffinity()
  /** When time alone changes what an agent can do; one entry an agent at most. */
  readonly #alarms = new Map<Agent, Instant>()
  #nextAlarm: Instant = Infinity
  #version = 0
  #startedAt: Instant = -Infinity
  readonly #freed: Freed[] = []

  /** Another one after everything but leases, reliability and latency: what was found out before may be wrong. */
  get version(): number {
    return this.#version
  }

  /** When the first catalogue came. */
  get startedAt(): Instant {
    return this.#startedAt
  }

  setCatalogue(models: readonly ModelFacts[], now: Instant): void {
    if (this.#startedAt === -Infinity) this.#startedAt = now
    this.index.setCatalogue(models)
    for (const agent of this.agents.values()) this.changed(agent, now)
  }

  /** What a placement goes by has changed, other than `rated`. */
  changed(agent: Agent, now: Instant): void {
    this.#version++
    this.#alarms.delete(agent)
    if (this.agents.get(agent.id) !== agent) {
      this.index.leave(agent)
      return
    }
    this.index.enter(agent, now)
    this.news.add(agent)
    const alarm = nextAlarmOf(agent, now)
    if (alarm === Infinity) return
    this.#alarms.set(agent, alarm)
    this.#nextAlarm = Math.min(this.#nextAlarm, alarm)
  }

  /** Its reliability or latency has changed: the order, not who can. */
  rated(agent: Agent): void {
    for (const place of agent.places) place.rated()
  }

  /** What changes by nothing but time: a model may be asked for again, an agent will not be back. */
  wake(now: Instant): void {
    if (now < this.#nextAlarm) return
    const due = [...this.#alarms].filter(([, at]) => at <= now)
    for (const [agent] of due) this.changed(agent, now)
    this.#nextAlarm = Math.min(...this.#alarms.values())
  }

  /** Takes a (re)connected agent in; what it reports replaces what was believed, leases included. */
  up(facts: AgentFacts, now: Instant): Agent {
    const former = this.agents.get(facts.agentId)
    if (former !== undefined) this.remove(former, now)
    const health = facts.health ?? healthy
    const agent: Agent = {
      id: facts.agentId,
      inventory: facts.inventory,
      capacity: new Capacity(facts.inventory, health.unfitGpus),
      health,
      externalModels: facts.externalModels ?? [],
      features: facts.features ?? [],
      adminState: facts.adminState,
      draining: false,
      reliability: facts.reliability,
      latencyMs: null,
      connected: true,
      disconnectedAt: now,
      lastHeartbeatAt: now,
      pingLate: false,
      standing: standingOf({ connected: true, lastHeartbeatAt: now, pingLate: false }, now),
      instances: new Map(),
      failedLoads: new Map(),
      slotsHeld: former?.slotsHeld ?? new Map<string, number>(),
      leaseCount: 0,
      places: [],
    }
    this.agents.set(agent.id, agent)
    for (const report of facts.instances) this.report(agent, report, now)
    this.changed(agent, now)
    return agent
  }

  /** The machine is another one than hello said. */
  setInventory(agent: Agent, inventory: Inventory): void {
    agent.inventory = inventory
    agent.capacity = new Capacity(inventory, agent.health.unfitGpus)
  }

  /** The owner's engines serve something else now; one that is back is asked again at once. */
  setExternalModels(agent: Agent, models: readonly ExternalModel[]): void {
    agent.externalModels = models
    for (const { modelId, fingerprint } of models)
      for (const pinned of [null, fingerprint])
        agent.failedLoads.delete(externalModelSha256({ modelId, fingerprint: pinned }))
  }

  /** Takes over what the agent says about an instance; one that is unloaded or failed is forgotten. */
  report(agent: Agent, { instanceId, modelSha256, status }: InstanceReport, now: Instant): void {
    const known = agent.instances.get(instanceId)
    if (status.state === 'unloaded' || status.state === 'failed') {
      if (known !== undefined) forget(agent, known)
      if (status.state === 'failed') noteFailedLoad(agent, modelSha256, status.error.message, now)
    } else if (known !== undefined || agent.instances.size < limits.instancesPerAgentMax) {
      // An instance from before a reconnect: until it says otherwise it has one slot and holds whatever is asked.
      const contextTokens = status.state === 'ready' ? status.contextTokens : Infinity
      const what = { id: instanceId, modelSha256, contextTokens, slots: 1, withoutGpu: false }
      const instance = known ?? add(agent, what)
      instance.status = status
      if (status.state === 'ready') {
        instance.slots = status.slots
        remember(agent.slotsHeld, modelSha256, status.slots)
        agent.failedLoads.delete(modelSha256)
      }
    }
    this.changed(agent, now)
  }

  /** The agent is about to be told to load the model. */
  load(agent: Agent, id: InstanceId, model: ModelFacts, now: Instant): Instance {
    const { sha256: modelSha256, contextTokens } = model
    const slots = Math.min(model.slots, agent.slotsHeld.get(modelSha256) ?? Infinity)
    // An owner's engine uses what its owner lets it use.
    const withoutGpu = model.external !== undefined || agent.capacity.mustNotUseGpu
    const instance = add(agent, { id, modelSha256, contextTokens, slots, withoutGpu })
    this.changed(agent, now)
    return instance
  }

  /** It is about to be told to unload the instance. */
  leave(agent: Agent, instance: Instance, now: Instant): void {
    instance.leaving = true
    this.changed(agent, now)
  }

  /** Health changes a few times a day, so judging the machine anew is nothing. */
  setHealth(agent: Agent, health: AgentHealth): void {
    agent.health = health
    agent.capacity = new Capacity(agent.inventory, health.unfitGpus)
  }

  lease(agent: Agent, instance: Instance, jobId: JobId): void {
    instance.leases.add(jobId)
    agent.leaseCount++
    this.#weigh(agent, instance)
  }

  /** @param kept the prompt that stays in its slot; null: the job has failed there */
  release(agentId: AgentId, instanceId: InstanceId, jobId: JobId, kept: KeptPrompt | null): void {
    const agent = this.agents.get(agentId)
    const instance = agent?.instances.get(instanceId)
    if (agent === undefined || instance?.leases.delete(jobId) !== true) return
    if (kept === null) this.prefixes.drop(instance)
    else this.prefixes.keep(instance, kept)
    agent.leaseCount--
    this.#freed.push({ agent, modelSha256: instance.modelSha256 })
    this.#weigh(agent, instance)
    if (agent.leaseCount === 0) this.news.add(agent)
  }

  /** The slots that were given back since the last call; the agents may have nothing to do any more. */
  takeFreed(): readonly Freed[] {
    return this.#freed.splice(0)
  }

  /** What else it holds is slower with every job that it has, too. */
  #weigh(agent: Agent, instance: Instance): void {
    for (const place of agent.places) place.weighed(agent.leaseCount, instance)
  }

  /** The connection is gone: nothing is held there any more as far as placement goes. */
  down(agent: Agent, now: Instant): void {
    forgetAll(agent)
    agent.connected = false
    agent.disconnectedAt = now
    this.changed(agent, now)
  }

  remove(agent: Agent, now: Instant): void {
    forgetAll(agent)
    this.agents.delete(agent.id)
    this.changed(agent, now)
  }
}

/** Who reports or loads tells the index. */
function add(
  agent: Agent,
  what: Pick<Instance, 'id' | 'modelSha256' | 'contextTokens' | 'slots' | 'withoutGpu'>,
): Instance {
  const instance: Instance = {
    ...what,
    agentId: agent.id,
    status: { state: 'loading', progress: null },
    leaving: false,
    leases: new Set(),
    conversations: 0,
  }
  agent.instances.set(instance.id, instance)
  return instance
}

function forget(agent: Agent, instance: Instance): void {
  agent.instances.delete(instance.id)
  agent.leaseCount -= instance.leases.size
  instance.leases.clear()
}

function forgetAll(agent: Agent): void {
  for (const instance of agent.instances.values()) forget(agent, instance)
}

/** When something that stands in the agent's way ends, or ends to be passing, without an event. */
function nextAlarmOf(agent: Agent, now: Instant): Instant {
  let next = agent.connected ? Infinity : agent.disconnectedAt + returnGraceMs
  if (next <= now) next = Infinity
  for (const { until } of agent.failedLoads.values()) if (until > now) next = Math.min(next, until)
  return next
}

/** Beyond these the model that came first is forgotten. */
const slotsHeldMax = limits.catalogueModelsMax

function remember(slotsHeld: Map<string, number>, sha256: string, slots: number): void {
  slotsHeld.delete(sha256)
  slotsHeld.set(sha256, slots)
  const [oldest] = slotsHeld.keys()
  if (slotsHeld.size > slotsHeldMax && oldest !== undefined) slotsHeld.delete(oldest)
}

function noteFailedLoad(agent: Agent, sha256: string, error: string, now: Instant): void {
  const before = agent.failedLoads.get(sha256)?.delayMs
  const delayMs =
    before === undefined ? failedLoadDelayMinMs : Math.min(2 * before, failedLoadDelayMaxMs)
  agent.failedLoads.set(sha256, { error, until: now + delayMs, delayMs })
}

import type { Instant } from '../clock.ts'
import type { InstanceState } from '../protocol/agent-message.ts'
import type { Inventory } from '../protocol/gpu.ts'
import type { AgentId, InstanceId, JobId } from '../protocol/ids.ts'
import type { AgentFacts, InstanceReport, ModelFacts } from './event.ts'
import { standingOf, type AgentStanding } from './liveness.ts'

/** One model on one agent, and who is using it. */
export type Instance = {
  readonly id: InstanceId
  readonly modelSha256: string
  status: InstanceState
  /** Slots, from the catalogue until the agent has said what it really has. */
  slots: number
  readonly leases: Set<JobId>
}

/** What is believed about one agent. Only the fleet and the scheduler change it. */
export type Agent = {
  readonly id: AgentId
  readonly inventory: Inventory
  adminState: AgentFacts['adminState']
  /** The owner drains it, whatever the operator says. */
  draining: boolean
  reliability: number
  latencyMs: number | null
  connected: boolean
  lastHeartbeatAt: Instant
  pingLate: boolean
  /** The standing that was last announced. */
  standing: AgentStanding
  readonly instances: Map<InstanceId, Instance>
  /** Sum of the leases of all instances. */
  leaseCount: number
}

/**
 * All agents, with an index by model so that a decision looks only at the agents that hold it.
 */
export class Fleet {
  readonly agents = new Map<AgentId, Agent>()
  readonly #holders = new Map<string, Set<Agent>>()

  /** Takes a (re)connected agent in; what it reports replaces what was believed, leases included. */
  up(facts: AgentFacts, slotsOf: (sha256: string) => number, now: Instant): Agent {
    this.#forgetInstances(this.agents.get(facts.agentId))
    const agent: Agent = {
      id: facts.agentId,
      inventory: facts.inventory,
      adminState: facts.adminState,
      draining: false,
      reliability: facts.reliability,
      latencyMs: null,
      connected: true,
      lastHeartbeatAt: now,
      pingLate: false,
      standing: standingOf({ connected: true, lastHeartbeatAt: now, pingLate: false }, now),
      instances: new Map(),
      leaseCount: 0,
    }
    this.agents.set(agent.id, agent)
    for (const report of facts.instances) this.report(agent, report, slotsOf(report.modelSha256))
    return agent
  }

  /** Takes over what the agent says about an instance; one that is unloaded or failed is forgotten. */
  report(agent: Agent, report: InstanceReport, slotsDefault: number): Instance | undefined {
    const known = agent.instances.get(report.instanceId)
    if (report.status.state === 'unloaded' || report.status.state === 'failed') {
      if (known !== undefined) this.#forget(agent, known)
      return undefined
    }
    const instance = known ?? this.add(agent, report.instanceId, report.modelSha256, slotsDefault)
    instance.status = report.status
    if (report.status.state === 'ready') instance.slots = report.status.slots
    return instance
  }

  add(agent: Agent, id: InstanceId, modelSha256: string, slots: number): Instance {
    const instance: Instance = {
      id,
      modelSha256,
      status: { state: 'loading', progress: null },
      slots,
      leases: new Set(),
    }
    agent.instances.set(id, instance)
    const holders = this.#holders.get(modelSha256)
    if (holders === undefined) this.#holders.set(modelSha256, new Set([agent]))
    else holders.add(agent)
    return instance
  }

  /** Agents that hold the model or are loading it. */
  holders(modelSha256: string): Iterable<Agent> {
    return this.#holders.get(modelSha256) ?? []
  }

  instanceOf(agent: Agent, model: ModelFacts): Instance | undefined {
    for (const instance of agent.instances.values())
      if (instance.modelSha256 === model.sha256) return instance
    return undefined
  }

  lease(agent: Agent, instance: Instance, jobId: JobId): void {
    instance.leases.add(jobId)
    agent.leaseCount++
  }

  release(agentId: AgentId, instanceId: InstanceId, jobId: JobId): void {
    const agent = this.agents.get(agentId)
    if (agent?.instances.get(instanceId)?.leases.delete(jobId) === true) agent.leaseCount--
  }

  /** The connection is gone: nothing is held there any more as far as placement goes. */
  down(agent: Agent): void {
    this.#forgetInstances(agent)
    agent.connected = false
  }

  remove(agent: Agent): void {
    this.#forgetInstances(agent)
    this.agents.delete(agent.id)
  }

  #forgetInstances(agent: Agent | undefined): void {
    if (agent === undefined) return
    for (const instance of agent.instances.values()) this.#forget(agent, instance)
  }

  #forget(agent: Agent, instance: Instance): void {
    agent.instances.delete(instance.id)
    agent.leaseCount -= instance.leases.size
    instance.leases.clear()
    for (const other of agent.instances.values())
      if (other.modelSha256 === instance.modelSha256) return
    const holders = this.#holders.get(instance.modelSha256)
    holders?.delete(agent)
    if (holders?.size === 0) this.#holders.delete(instance.modelSha256)
  }
}

import type { Heartbeat } from '../../protocol/agent-message.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { Agent } from '../../scheduler/agent.ts'
import type { Priority } from '../../scheduler/priority.ts'
import type { QueueRow } from '../../scheduler/waiting-room.ts'
import type { AgentLive, AgentOverview, PoolAdmin } from '../pool-admin.ts'
import type { AdminState, AgentRecord, Store } from '../store/store.ts'
import { agentOverview } from './agent-overview.ts'
import type { Catalogue } from './catalogue.ts'
import type { ConnectedAgents } from './connected-agents.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { HealthWatch } from './health-watch.ts'
import { hottestGpuC, modelFigures } from './model-figures.ts'
import type { PoolRandom } from './pool-random.ts'
import type { RegistryWriter } from './registry-writer.ts'
import type { ReliabilityWatch } from './reliability-watch.ts'
import type { Clock } from '../../clock.ts'

export type PoolAdminDeps = {
  readonly clock: Clock
  readonly store: Store
  readonly registry: RegistryWriter
  readonly dispatcher: Dispatcher
  readonly agents: ConnectedAgents
  readonly health: HealthWatch
  readonly reliability: ReliabilityWatch
  readonly catalogue: Catalogue
  readonly random: PoolRandom
  readonly createJoinLink: PoolAdmin['createJoinLink']
}

/** What operators see and do: the store's record beside what the running pool believes. */
export function createPoolAdmin(deps: PoolAdminDeps): PoolAdmin {
  const { store, dispatcher, agents, catalogue } = deps
  const overview = (record: AgentRecord): AgentOverview =>
    agentOverview({
      record,
      live: live(deps, record.id),
      inventory: dispatcher.scheduler.agent(record.id)?.inventory ?? record.capabilities,
      health: deps.health.of(record, deps.clock.now()),
      reliability: deps.reliability.of(record, deps.clock.now()),
      models: dispatcher.scheduler.models(),
      now: deps.clock.now(),
    })
  return {
    listAgents: async () => (await store.listAgents()).map(overview),
    getAgent: async id => {
      const record = await store.getAgent(id)
      return record === undefined ? undefined : overview(record)
    },
    setAdminState: (id, state) => setAdminState(deps, id, state),
    catalogueChanged: async () => {
      dispatcher.schedule({ type: 'catalogue', models: await catalogue.reload() })
    },
    modelStayChanged: async name => {
      dispatcher.schedule({ type: 'catalogue', models: await catalogue.reload() })
      dispatcher.schedule({ type: 'model_stay', model: name })
    },
    loadModel: (name, agentId) => loadModel(deps, name, agentId),
    unloadModel: async name => {
      const before = holders(deps, name)
      const enrolled = (await store.listAgents()).map(({ id }) => id)
      dispatcher.schedule({ type: 'unload_model', model: name, enrolled })
      await deps.registry.flush()
      return before
    },
    externalModels: () => agents.ids().flatMap(id => agents.get(id)?.externalModels ?? []),
    modelFigures: () => modelFigures(agents.heartbeats(), name => catalogue.has(name)),
    hottestGpuC: () => hottestGpuC(agents.heartbeats()),
    counts: () => counts(deps),
    queue: () => dispatcher.scheduler.queue(deps.clock.now()),
    createJoinLink: options => deps.createJoinLink(options),
  }

  function counts({ dispatcher: { scheduler } }: PoolAdminDeps): ReturnType<PoolAdmin['counts']> {
    let agentsGreen = 0
    let slotsTotal = 0
    let slotsBusy = 0
    for (const agent of scheduler.agents()) {
      if (agent.standing.liveness === 'green') agentsGreen++
      for (const instance of agent.instances.values()) {
        if (instance.status.state === 'ready') slotsTotal += instance.slots
        slotsBusy += instance.leases.size
      }
    }
    return {
      agentsConnected: agents.size,
      agentsGreen,
      requestsRunning: dispatcher.requestsRunning - scheduler.waiting,
      requestsQueued: scheduler.waiting,
      queuedByPriority: queuedByPriority(scheduler.queue(deps.clock.now())),
      slotsTotal,
      slotsBusy,
      tokensRelayed: dispatcher.tokensRelayed,
    }
  }
}

function queuedByPriority(rows: readonly QueueRow[]): Record<Priority, number> {
  const queued = { high: 0, normal: 0, low: 0 }
  for (const { priority, waiting } of rows) queued[priority] += waiting
  return queued
}

async function setAdminState(
  deps: PoolAdminDeps,
  id: AgentId,
  state: AdminState,
): Promise<boolean> {
  if (!(await deps.store.setAgentAdminState(id, state))) return false
  deps.dispatcher.schedule({ type: 'admin_state', agentId: id, adminState: state })
  if (state === 'revoked') deps.agents.revoke(id)
  else deps.agents.pardon(id)
  if (state === 'draining' || state === 'active')
    deps.agents.send(id, { type: 'drain', resume: state === 'active' })
  deps.registry.history({
    agentId: id,
    type: 'admin_state_changed',
    at: deps.clock.now(),
    metadata: { state },
  })
  // Who gives it work again has looked into what was wrong with it.
  const record = state === 'active' ? await deps.store.getAgent(id) : undefined
  if (record !== undefined) deps.health.forgiveErrors(record, deps.clock.now())
  return true
}

async function loadModel(
  deps: PoolAdminDeps,
  name: string,
  agentId: AgentId | null,
): Promise<{ readonly agents: number; readonly later?: number } | Failure> {
  const { dispatcher, catalogue } = deps
  if (!catalogue.has(name))
    return { code: 'model_not_found', message: `the catalogue has no model ${name}` }
  if (agentId !== null && (await deps.store.getAgent(agentId)) === undefined)
    return { code: 'no_capable_agent', message: 'there is no agent of this id' }
  const spareInstanceIds = [...deps.agents.ids(), null].map(deps.random.instanceId)
  dispatcher.schedule({ type: 'load_model', model: name, agentId, spareInstanceIds })
  // What is promised outlives this process.
  await deps.registry.flush()
  const agents = holders(deps, name, agentId)
  if (agents > 0) return { agents }
  if (agentId !== null && dispatcher.scheduler.isWanted(agentId, name))
    return { agents: 0, later: 1 }
  return { code: 'no_capable_agent', message: `no connected agent can hold ${name} now` }
}

/** On how many agents, or on that one, the model is or is being loaded. */
function holders(
  { dispatcher: { scheduler }, catalogue }: PoolAdminDeps,
  name: string,
  agentId: AgentId | null = null,
): number {
  const sha256 = catalogue.sha256Of(name)
  let count = 0
  for (const agent of scheduler.agents()) {
    if (agentId !== null && agent.id !== agentId) continue
    for (const instance of agent.instances.values())
      if (instance.modelSha256 === sha256 && !instance.leaving) count++
  }
  return count
}

function live({ dispatcher, agents }: PoolAdminDeps, id: AgentId): AgentLive {
  const connected = agents.get(id)
  const believed = dispatcher.scheduler.agent(id)
  return {
    connected: connected !== undefined,
    liveness: believed?.standing.liveness ?? 'red',
    status: believed?.standing.status ?? null,
    lastHeartbeatAt: believed?.lastHeartbeatAt ?? null,
    softwareVersion: connected?.softwareVersion ?? null,
    lastHeartbeat: heartbeatOf(connected?.lastHeartbeat ?? null),
    activeRequests: believed?.leaseCount ?? 0,
    externalModels: connected?.externalModels ?? null,
    instances: believed === undefined ? [] : instancesOf(believed, dispatcher),
  }
}

function heartbeatOf(heartbeat: Heartbeat | null): AgentLive['lastHeartbeat'] {
  if (heartbeat === null) return null
  const { type: _type, sequence: _sequence, agent_id: _agent, ...said } = heartbeat
  return said
}

function instancesOf(agent: Readonly<Agent>, { scheduler }: Dispatcher): AgentLive['instances'] {
  return [...agent.instances.values()].map(instance => ({
    instanceId: instance.id,
    model: scheduler.modelName(instance.modelSha256) ?? `sha256:${instance.modelSha256}`,
    status: instance.status,
  }))
}

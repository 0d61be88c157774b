import type { Clock } from '../../clock.ts'
import { recordRequestEnd } from '../api/request-log.ts'
import { errorFields, type Log } from '../log.ts'
import { Metrics } from '../metrics.ts'
import type { PoolAdmin } from '../pool-admin.ts'
import type { Store } from '../store/store.ts'
import { Catalogue } from './catalogue.ts'
import { ConnectedAgents } from './connected-agents.ts'
import { Dispatcher } from './dispatcher.ts'
import { HealthWatch } from './health-watch.ts'
import { createPoolAdmin } from './pool-admin-service.ts'
import { systemRandom, type PoolRandom } from './pool-random.ts'
import { RegistryWriter } from './registry-writer.ts'
import { Settlement } from './settlement.ts'

export type Pool = Awaited<ReturnType<typeof assemblePool>>

export type PoolDeps = {
  readonly clock: Clock
  readonly log: Log
  readonly store: Store
  readonly createJoinLink: PoolAdmin['createJoinLink']
  /** Absent: nobody can foretell it. */
  readonly random?: PoolRandom
  /** Absent: with what the process itself takes. */
  readonly createMetrics?: (counts: PoolAdmin['counts']) => Metrics
}

/** Wires the parts of the pool that live in memory, and reads the catalogue. */
export async function assemblePool({
  clock,
  log,
  store,
  createJoinLink,
  random = systemRandom,
  createMetrics = counts => new Metrics(counts),
}: PoolDeps) {
  const registry = new RegistryWriter(store, error =>
    log.error('the registry could not be written', errorFields(error)),
  )
  const agents = new ConnectedAgents(registry, (agentId, agentName, reason) =>
    log.info('agent', { agentId, agentName, reason }),
  )
  const health = new HealthWatch({
    registry,
    onHealth: (agentId, standing) =>
      dispatcher.schedule({ type: 'health', agentId, health: standing }),
    log: (agentId, agentName, { type, text }) => {
      const level = type === 'became_healthy' ? 'info' : 'warn'
      log[level](`agent ${type.replaceAll('_', ' ')}`, { agentId, agentName, reason: text })
    },
  })
  const catalogue = new Catalogue(store)
  const settlement = new Settlement({
    clock,
    store,
    registry,
    reliabilityOf: id => dispatcher.scheduler.agent(id)?.reliability,
    setReliability: (agentId, reliability) =>
      dispatcher.schedule({ type: 'reliability', agentId, reliability }),
    onOutcome: (agentId, ok) => health.outcome(agentId, ok, clock.now()),
    onEnded: record => recordRequestEnd({ log, metrics }, record),
    onAttemptLost: ({ tokens, ...lost }) =>
      log.info('attempt lost', { ...lost, completionTokens: tokens }),
    onError: error => log.error('usage could not be stored', errorFields(error)),
  })
  const dispatcher: Dispatcher = new Dispatcher({
    clock,
    catalogue,
    settlement,
    agents,
    health,
    random,
  })
  const poolAdmin = createPoolAdmin({
    clock,
    store,
    registry,
    dispatcher,
    agents,
    health,
    catalogue,
    random,
    createJoinLink,
  })
  const metrics = createMetrics(() => poolAdmin.counts())
  await forgetFormerConnections(store)
  await poolAdmin.catalogueChanged()
  return { registry, agents, health, catalogue, settlement, dispatcher, poolAdmin, metrics }
}

/** Whoever was connected to the process before this one is not connected now, whatever the table still says. */
async function forgetFormerConnections(store: Store): Promise<void> {
  for (const agent of await store.listAgents())
    if (agent.status !== 'offline') await store.setAgentStatus(agent.id, 'offline')
}

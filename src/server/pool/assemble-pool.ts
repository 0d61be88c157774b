import type { Clock } from '../../clock.ts'
import { recordRequestEnd } from '../api/request-log.ts'
import type { Log } from '../log.ts'
import { Metrics, type MetricsSource } from '../metrics.ts'
import type { AdminEvent } from '../notify/admin-event.ts'
import type { PoolAdmin } from '../pool-admin.ts'
import type { AgentRecord, Store } from '../store/store.ts'
import { assembleRecords } from './assemble-records.ts'
import { Catalogue } from './catalogue.ts'
import { Dispatcher } from './dispatcher.ts'
import { Hedging } from './hedging.ts'
import { createPoolAdmin } from './pool-admin-service.ts'
import { systemRandom, type PoolRandom } from './pool-random.ts'
import { Settlement } from './settlement.ts'

export type Pool = Awaited<ReturnType<typeof assemblePool>>

export type PoolDeps = {
  readonly clock: Clock
  readonly log: Log
  readonly store: Store
  readonly createJoinLink: PoolAdmin['createJoinLink']
  /** Whether a second agent races one whose first token is late; absent: no. */
  readonly hedge?: boolean
  /** Absent: nobody can foretell it. */
  readonly random?: PoolRandom
  /** Tells the operator's webhook; absent: there is none. */
  readonly send?: (event: AdminEvent) => void
  /** Absent: with what the process itself takes. */
  readonly createMetrics?: (pool: MetricsSource) => Metrics
}

/** Wires the parts of the pool that live in memory, and reads the catalogue. */
export async function assemblePool({
  clock,
  log,
  store,
  createJoinLink,
  hedge = false,
  random = systemRandom,
  send = () => {},
  createMetrics = pool => new Metrics(pool),
}: PoolDeps) {
  const records = assembleRecords({ clock, log, store, random, send }, () => dispatcher)
  const catalogue = new Catalogue(store)
  const settlement = new Settlement({
    clock,
    store,
    outcomes: records.outcomes,
    onEnded: record => recordRequestEnd({ log, metrics }, record),
    onAttemptLost: ({ tokens, ...lost }) =>
      log.info('attempt lost', { ...lost, completionTokens: tokens }),
    onError: error => records.databaseFailed('usage could not be stored', error),
  })
  const dispatcher: Dispatcher = new Dispatcher({
    ...records,
    clock,
    catalogue,
    settlement,
    random,
    hedging: hedge ? new Hedging() : null,
    onLeased: (priority, waitedMs) => metrics.leased(priority, waitedMs),
  })
  const poolAdmin = createPoolAdmin({
    ...records,
    clock,
    store,
    dispatcher,
    catalogue,
    random,
    createJoinLink,
  })
  const metrics = createMetrics(poolAdmin)
  const known = await store.listAgents()
  await forgetFormerConnections(store, known)
  records.agents.expect(known, clock.now())
  await poolAdmin.catalogueChanged()
  const orders = await store.listModelOrders()
  dispatcher.schedule({
    type: 'model_orders',
    orders: orders.map(order => ({ ...order, spareInstanceId: random.instanceId() })),
  })
  return { ...records, catalogue, settlement, dispatcher, poolAdmin, metrics }
}

/** Whoever was connected to the process before this one is not connected now, whatever the table still says. */
async function forgetFormerConnections(store: Store, known: readonly AgentRecord[]): Promise<void> {
  for (const agent of known)
    if (agent.status !== 'offline') await store.setAgentStatus(agent.id, 'offline')
}

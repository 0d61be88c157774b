import type { Clock } from '../../clock.ts'
import { errorFields, type Log } from '../log.ts'
import type { Store } from '../store/store.ts'
import { tickIntervalMs } from '../timers.ts'
import { AttemptOutcomes } from './attempt-outcomes.ts'
import { ConnectedAgents } from './connected-agents.ts'
import type { Dispatcher } from './dispatcher.ts'
import { HealthWatch } from './health-watch.ts'
import { PoisonWatch } from './poison-watch.ts'
import type { PoolRandom } from './pool-random.ts'
import { RegistryWriter } from './registry-writer.ts'
import { ReliabilityWatch } from './reliability-watch.ts'

export type RecordsDeps = {
  readonly clock: Clock
  readonly log: Log
  readonly store: Store
  readonly random: PoolRandom
}

/** Wires what is remembered of agents, and what finds out whose doing a failure was. */
export function assembleRecords(
  { clock, log, store, random }: RecordsDeps,
  dispatcher: () => Dispatcher,
) {
  const registry = new RegistryWriter(store, error =>
    log.error('the registry could not be written', errorFields(error)),
  )
  const reliability = new ReliabilityWatch({
    registry,
    tickIntervalMs,
    onReliability: (agentId, value) =>
      dispatcher().schedule({ type: 'reliability', agentId, reliability: value }),
  })
  const agents = new ConnectedAgents(registry, reliability, (agentId, agentName, reason) =>
    log.info('agent', { agentId, agentName, reason }),
  )
  const health = new HealthWatch({
    registry,
    onHealth: (agentId, standing) =>
      dispatcher().schedule({ type: 'health', agentId, health: standing }),
    log: (agentId, agentName, { type, text }) => {
      const level = type === 'became_healthy' ? 'info' : 'warn'
      log[level](`agent ${type.replaceAll('_', ' ')}`, { agentId, agentName, reason: text })
    },
  })
  const outcomes = new AttemptOutcomes({
    clock,
    registry,
    reliability,
    poison: new PoisonWatch(random.poisonSecret()),
    jobsOn: (agentId, model) => dispatcher().jobsOn(agentId, model),
    isPingLate: id => dispatcher().scheduler.agent(id)?.pingLate === true,
    onOutcome: (agentId, ok) => health.outcome(agentId, ok, clock.now()),
    onPoison: (model, agentIds) =>
      log.warn('request quarantined', { model, reason: `ended workers of ${agentIds.join(', ')}` }),
  })
  return { registry, reliability, agents, health, outcomes }
}

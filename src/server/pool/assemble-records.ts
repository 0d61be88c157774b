import type { Clock } from '../../clock.ts'
import type { AgentId } from '../../protocol/ids.ts'
import { errorFields, type Log } from '../log.ts'
import type { AdminEvent } from '../notify/admin-event.ts'
import { Announcer, type Announcement } from '../notify/announcer.ts'
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
  /** Tells the operator's webhook, if there is one. */
  readonly send: (event: AdminEvent) => void
}

/** Wires what is remembered of agents, and what finds out whose doing a failure was. */
export function assembleRecords(
  { clock, log, store, random, send }: RecordsDeps,
  dispatcher: () => Dispatcher,
) {
  const registry = new RegistryWriter(store, error =>
    databaseFailed('the registry could not be written', error),
  )
  const announcer = new Announcer({ clock, log, keep: event => registry.event(event), send })
  const databaseFailed = (event: string, error: unknown): void => {
    const fields = errorFields(error)
    log.error(event, fields)
    const why = [fields.errorMessage, fields.errorCause].filter(Boolean).join('; ')
    announcer.tell({ type: 'database_failing', text: `${event}: ${why}` })
  }
  const reliability = new ReliabilityWatch({
    registry,
    tickIntervalMs,
    onReliability: (agentId, value) =>
      dispatcher().schedule({ type: 'reliability', agentId, reliability: value }),
  })
  const agents = new ConnectedAgents({
    registry,
    reliability,
    modelName: sha256 => dispatcher().scheduler.modelName(sha256),
    tell: what => announcer.tell(what),
    log: (agentId, agentName, reason) => log.info('agent', { agentId, agentName, reason }),
  })
  const health = new HealthWatch({
    registry,
    onHealth: (agentId, standing) =>
      dispatcher().schedule({ type: 'health', agentId, health: standing }),
    tell: what => announcer.tell(what),
  })
  const outcomes = new AttemptOutcomes({
    clock,
    registry,
    reliability,
    poison: new PoisonWatch(random.poisonSecret()),
    jobsOn: (agentId, model) => dispatcher().jobsOn(agentId, model),
    isPingLate: id => dispatcher().scheduler.agent(id)?.pingLate === true,
    onOutcome: (agentId, ok) => health.outcome(agentId, ok, clock.now()),
    onPoison: (model, agentIds) => announcer.tell(poisonNews(model, agentIds, agents)),
  })
  return { registry, reliability, agents, health, outcomes, databaseFailed }
}

function poisonNews(
  model: string,
  agentIds: readonly AgentId[],
  agents: ConnectedAgents,
): Announcement {
  const names = agentIds.map(id => agents.get(id)?.name ?? id).join(', ')
  const text = `a request for ${model} ended workers again and again (${names}) and is refused from now on`
  return { type: 'request_quarantined', model, text }
}

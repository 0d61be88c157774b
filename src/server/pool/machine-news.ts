import type { Clock } from '../../clock.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { SchedulerEvent } from '../../scheduler/event.ts'
import type { PoolMessage } from '../control/agent-session.ts'
import type { ConnectedAgents } from './connected-agents.ts'
import type { HealthWatch } from './health-watch.ts'

/** What an agent says of its machine, in contrast to its streams. */
type News = Extract<PoolMessage, { type: 'heartbeat' | 'inventory' | 'external_models' }>

export type MachineNewsDeps = {
  readonly clock: Clock
  readonly agents: ConnectedAgents
  readonly health: HealthWatch
}

/** Passes on what an agent says of its machine: to the record of it, to placement, to the watch over its health. */
export function tellOfMachine(
  { clock, agents, health }: MachineNewsDeps,
  agentId: AgentId,
  news: News,
  schedule: (event: SchedulerEvent) => void,
): void {
  const now = clock.now()
  switch (news.type) {
    case 'heartbeat':
      agents.heartbeat(agentId, news, now)
      schedule({
        type: 'heartbeat',
        agentId,
        draining: news.status === 'draining',
        latencyMs: news.network_latency_ms,
      })
      health.heartbeat(agentId, news, now)
      return
    case 'inventory': {
      const { inventory } = news
      agents.inventory(agentId, inventory)
      schedule({ type: 'inventory', agentId, inventory })
      health.inventory(agentId, inventory, now)
      return
    }
    case 'external_models': {
      const { models } = news
      agents.externalModels(agentId, models)
      schedule({ type: 'external_models', agentId, models })
    }
  }
}

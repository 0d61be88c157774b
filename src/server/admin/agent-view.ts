import { t } from 'elysia'
import type { Instant } from '../../clock.ts'
import { integer } from '../api/describe-route.ts'
import type { AgentOverview } from '../pool-admin.ts'
import type { HistoryEvent } from '../store/store.ts'

const NullableTime = t.Nullable(t.String({ format: 'date-time' }))

/** An agent in the listing. */
export const AgentView = t.Object({
  id: t.String({ format: 'uuid' }),
  name: t.String(),
  adminState: t.String({
    description: 'pending, active, draining or revoked: what the operator decided',
  }),
  status: t.String({ description: 'online, degraded or offline' }),
  connected: t.Boolean(),
  liveness: t.String({ description: 'green: may get work; yellow: late, no new work; red: gone' }),
  reliability: t.Number({ description: '0 to 1, earned' }),
  region: t.Nullable(t.String()),
  gpus: t.Array(t.String(), { description: 'Names of the devices' }),
  softwareVersion: t.Nullable(t.String()),
  enrolledAt: t.String({ format: 'date-time' }),
  lastHeartbeatAt: NullableTime,
  activeRequests: integer(),
  instances: t.Array(
    t.Object({
      instanceId: t.String(),
      model: t.String(),
      status: t.Unknown({
        description: 'loading, ready, failed or unloaded, with what belongs to it',
      }),
    }),
  ),
})
export type AgentView = typeof AgentView.static

/** One agent with everything that is known about it. */
export const AgentDetails = t.Object({
  ...AgentView.properties,
  capabilities: t.Unknown({ description: 'The machine as the agent last described it' }),
  lastHeartbeat: t.Unknown({ description: 'Live readings; null before the first heartbeat' }),
  history: t.Array(
    t.Object({ type: t.String(), at: t.String({ format: 'date-time' }), metadata: t.Unknown() }),
    { description: 'Newest first' },
  ),
})

const isoTime = (at: Instant): string => new Date(at).toISOString()

export function toAgentView({ record, live }: AgentOverview): AgentView {
  return {
    id: record.id,
    name: record.name,
    adminState: record.adminState,
    status: record.status,
    connected: live.connected,
    liveness: live.liveness,
    reliability: record.reliability,
    region: record.region,
    gpus: record.capabilities.gpus.map(gpu => gpu.name),
    softwareVersion: live.softwareVersion,
    enrolledAt: isoTime(record.enrolledAt),
    lastHeartbeatAt: record.lastHeartbeatAt === null ? null : isoTime(record.lastHeartbeatAt),
    activeRequests: live.activeRequests,
    instances: [...live.instances],
  }
}

export const toAgentDetails = (
  overview: AgentOverview,
  history: readonly HistoryEvent[],
): typeof AgentDetails.static => ({
  ...toAgentView(overview),
  capabilities: overview.record.capabilities,
  lastHeartbeat: overview.live.lastHeartbeat,
  history: history.map(({ type, at, metadata }) => ({ type, at: isoTime(at), metadata })),
})

export const agentExample: AgentView = {
  id: '0d3f1c52-8f0e-4b7a-9a55-2f9f4f6f1f11',
  name: 'gaming-pc',
  adminState: 'active',
  status: 'online',
  connected: true,
  liveness: 'green',
  reliability: 0.97,
  region: 'eu-north',
  gpus: ['NVIDIA GeForce RTX 4090'],
  softwareVersion: '0.1.0',
  enrolledAt: '2026-11-01T09:00:00.000Z',
  lastHeartbeatAt: '2026-12-01T12:00:00.000Z',
  activeRequests: 1,
  instances: [
    {
      instanceId: '7a1f3f0e-1111-4b7a-9a55-2f9f4f6f1f11',
      model: 'llama-3.1-8b-q4',
      status: { state: 'ready', contextTokens: 8192, slots: 4, loadMs: 2100 },
    },
  ],
}

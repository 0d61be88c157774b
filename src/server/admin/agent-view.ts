import { t } from 'elysia'
import type { Instant } from '../../clock.ts'
import { integer } from '../api/describe-route.ts'
import type { AgentOverview, DeviceOverview } from '../pool-admin.ts'
import type { HistoryEvent } from '../store/store.ts'
import {
  GpuView,
  HeartbeatView,
  InstanceStatusView,
  InventoryView,
  ReadingView,
} from './inventory-view.ts'

const NullableTime = t.Nullable(t.String({ format: 'date-time' }))

/** A device in the listing. */
const DeviceView = t.Object({
  id: t.String(),
  name: t.String(),
  memoryMb: t.Nullable(t.Number({ description: 'Memory a model may take' })),
  eligible: t.Boolean({
    description: 'Whether it may serve at all; else its machine’s processor does',
  }),
  score: t.Number({ description: '0 to 100: memory, speed and arithmetic' }),
})

/** A device with everything that speaks for or against it. */
const DeviceDetails = t.Object({
  ...DeviceView.properties,
  inventory: GpuView,
  reading: t.Nullable(ReadingView),
  answers: t.Array(
    t.Object({
      predicate: t.UnionEnum([
        'memory',
        'compute-capability',
        'driver',
        'thermal-events',
        'error-rate',
      ]),
      passes: t.Boolean(),
      known: t.Boolean({ description: 'false: the fact could not be read' }),
      reason: t.String({ description: 'In words, with the figures' }),
    }),
  ),
  scoreExplanation: t.String({ description: 'How it comes about, and where the figures are from' }),
  driverNotes: t.Array(t.String(), {
    description: 'Known trouble with the driver, also where it can be worked around',
  }),
  thermalEvents24h: integer(),
})

/** An agent in the listing. */
export const AgentView = t.Object({
  id: t.String({ format: 'uuid' }),
  name: t.String(),
  adminState: t.String({
    description: 'pending, active, draining or revoked: what the operator decided',
  }),
  status: t.String({
    description: 'online, degraded (late, too hot or unhealthy) or offline',
  }),
  connected: t.Boolean(),
  liveness: t.String({ description: 'green: may get work; yellow: late, no new work; red: gone' }),
  health: t.Object({
    stopped: t.Nullable(t.String({ description: 'Why it gets no new work: heat, or failures' })),
    slowed: t.Boolean({ description: 'Heat slows it down; others go first' }),
  }),
  reliability: t.Number({ description: '0 to 1, earned; docs/reliability.md' }),
  region: t.Nullable(t.String()),
  gpus: t.Array(t.String(), { description: 'Names of the devices' }),
  devices: t.Array(DeviceView),
  softwareVersion: t.Nullable(t.String()),
  enrolledAt: t.String({ format: 'date-time' }),
  lastHeartbeatAt: NullableTime,
  activeRequests: integer(),
  externalModels: t.Nullable(
    t.Array(
      t.Object({
        modelId: t.String(),
        engine: t.String({ description: 'For example ollama, vllm, llama-server' }),
        fingerprint: t.String(),
        contextTokens: t.Nullable(integer({ description: 'null: the engine does not tell' })),
      }),
    ),
    {
      description:
        'What engines that its owner runs serve, unsandboxed and unchecked; null: there are none, or not connected',
    },
  ),
  instances: t.Array(
    t.Object({
      instanceId: t.String(),
      model: t.String(),
      status: InstanceStatusView,
    }),
  ),
})
export type AgentView = typeof AgentView.static

/** One agent with everything that is known about it. */
export const AgentDetails = t.Object({
  ...AgentView.properties,
  reliabilityReason: t.String({ description: 'What the figure is made of' }),
  devices: t.Array(DeviceDetails),
  errors: t.Object(
    {
      outcomes: integer(),
      failed: integer({ description: 'Only those that were the machine’s own doing' }),
      rate: t.Nullable(t.Number({ description: 'null: too few to speak of a rate' })),
    },
    { description: 'Inferences of the last 24 h' },
  ),
  models: t.Array(
    t.Object({
      model: t.String(),
      fit: t.UnionEnum(['gpu', 'partial', 'cpu', 'external', 'none'], {
        description:
          'whole on a GPU, in part, in main memory alone, in an engine of its owner, or not at all',
      }),
      reason: t.String({ description: 'Why it is no better, with the figures' }),
    }),
    { description: 'How the machine could hold each model of the catalogue' },
  ),
  capabilities: InventoryView,
  lastHeartbeat: t.Nullable(HeartbeatView),
  history: t.Array(
    t.Object({
      type: t.String(),
      at: t.String({ format: 'date-time' }),
      metadata: t.Record(t.String(), t.Unknown(), { description: 'What belongs to the event' }),
    }),
    { description: 'Newest first' },
  ),
})
export type AgentDetails = typeof AgentDetails.static

const isoTime = (at: Instant): string => new Date(at).toISOString()

export function toAgentView(overview: AgentOverview): AgentView {
  const { record, live, devices } = overview
  const { stopped, slowed } = overview.health
  const lastHeartbeatAt = live.lastHeartbeatAt ?? record.lastHeartbeatAt
  return {
    id: record.id,
    name: record.name,
    adminState: record.adminState,
    status: statusOf(overview),
    connected: live.connected,
    liveness: live.liveness,
    health: { stopped, slowed },
    reliability: overview.reliability.reliability,
    region: record.region,
    gpus: devices.map(({ gpu }) => gpu.name),
    devices: devices.map(toDeviceView),
    softwareVersion: live.softwareVersion,
    enrolledAt: isoTime(record.enrolledAt),
    lastHeartbeatAt: lastHeartbeatAt === null ? null : isoTime(lastHeartbeatAt),
    activeRequests: live.activeRequests,
    externalModels: live.externalModels === null ? null : [...live.externalModels],
    instances: [...live.instances],
  }
}

/** Liveness and health are kept apart everywhere else, and put together only here, for show. */
function statusOf({ record, live, health }: AgentOverview): string {
  const status = live.status ?? record.status
  return status === 'online' && (health.slowed || health.stopped !== null) ? 'degraded' : status
}

export const toAgentDetails = (
  overview: AgentOverview,
  history: readonly HistoryEvent[],
): AgentDetails => ({
  ...toAgentView(overview),
  reliabilityReason: overview.reliability.reason,
  devices: overview.devices.map(toDeviceDetails),
  errors: { ...overview.health.errors },
  models: overview.modelFits().map(({ model, kind, reason }) => ({ model, fit: kind, reason })),
  capabilities: overview.inventory,
  lastHeartbeat: overview.live.lastHeartbeat,
  history: history.map(({ type, at, metadata }) => ({ type, at: isoTime(at), metadata })),
})

const toDeviceView = ({ gpu, memoryMb, judgement }: DeviceOverview): typeof DeviceView.static => ({
  id: gpu.id,
  name: gpu.name,
  memoryMb,
  eligible: judgement.eligible,
  score: judgement.score,
})

const toDeviceDetails = (device: DeviceOverview): typeof DeviceDetails.static => ({
  ...toDeviceView(device),
  inventory: device.gpu,
  reading: device.reading,
  answers: [...device.judgement.answers],
  scoreExplanation: device.judgement.explanation,
  driverNotes: [...device.judgement.driverNotes],
  thermalEvents24h: device.thermalEvents,
})

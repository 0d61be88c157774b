import type { HeatLevel } from '../capability/heat-level.ts'
import type { Instant } from '../clock.ts'
import type { Heartbeat } from '../protocol/agent-message.ts'
import type { AgentMetrics } from '../protocol/agent-metrics.ts'
import type { GpuReading } from '../protocol/gpu.ts'
import type { AgentId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import { unknownReading } from '../gpu/probe.ts'
import { agentLimits } from './agent-limits.ts'
import type { Instance } from './instance.ts'

export type HeartbeatFacts = {
  readonly agentId: AgentId
  readonly sequence: number
  readonly networkLatencyMs: number | null
  readonly draining: boolean
  readonly held: readonly Instance[]
  readonly readings: readonly GpuReading[]
  readonly heat: HeatLevel
  /** What is measured of its work; absent: nothing is. */
  readonly metrics?: AgentMetrics
}

/** What the agent says about itself every interval: specification 1.5. */
export function buildHeartbeat(facts: HeartbeatFacts): Heartbeat {
  const { busySlots, slots } = countSlots(facts.held)
  const reason = degradation(facts)
  return {
    type: 'heartbeat',
    sequence: facts.sequence,
    agent_id: facts.agentId,
    status: statusOf(facts.draining, reason, slots > 0 && busySlots >= slots),
    ...(reason === null ? {} : { reason }),
    current_load: slots === 0 ? 0 : Math.min(1, busySlots / slots),
    gpu_state: gpuState(facts.readings[0]),
    gpus: facts.readings.slice(0, limits.gpusPerAgentMax),
    network_latency_ms: facts.networkLatencyMs,
    ...(facts.metrics !== undefined && { metrics: facts.metrics }),
    models_loaded: [
      ...new Set(
        facts.held
          .filter(instance => instance.phase.name === 'ready')
          .map(instance => instance.load.manifest.name),
      ),
    ],
  }
}

/** Slots of the models that are ready, and how many of them have a job. */
export function countSlots(held: readonly Instance[]): {
  readonly busySlots: number
  readonly slots: number
} {
  let busySlots = 0
  let slots = 0
  for (const { phase, running } of held) {
    if (phase.name !== 'ready') continue
    slots += phase.slots
    busySlots += running.size
  }
  return { busySlots, slots }
}

function statusOf(
  draining: boolean,
  degradation: string | null,
  full: boolean,
): Heartbeat['status'] {
  if (draining) return 'draining'
  if (degradation !== null) return 'degraded'
  return full ? 'busy' : 'available'
}

/** Why this machine is in a worse state than its free slots say; null: it is not. */
function degradation({ heat, held }: HeartbeatFacts): string | null {
  if (heat !== 'normal') return 'thermal'
  const crashing = held.some(
    ({ phase, deaths }) => phase.name === 'failed' && deaths.length > agentLimits.workerDeathsMax,
  )
  return crashing ? 'worker_crashes' : null
}

function gpuState(reading: GpuReading | undefined): Heartbeat['gpu_state'] {
  if (reading === undefined) return null
  const { temperature_c, vram_used_mb, vram_total_mb, utilization_pct } = reading
  return { temperature_c, vram_used_mb, vram_total_mb, utilization_pct }
}

/** The readings to show: those taken lately, else that nothing is known. */
export const freshReadings = (
  sample: { readonly readings: readonly GpuReading[]; readonly takenAt: Instant },
  now: Instant,
): readonly GpuReading[] =>
  now - sample.takenAt <= agentLimits.readingsAgeMaxMs
    ? sample.readings
    : sample.readings.map(reading => unknownReading(reading.id))

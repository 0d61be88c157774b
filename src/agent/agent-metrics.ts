import type { AgentMetrics, ModelMetrics } from '../protocol/agent-metrics.ts'
import { limits } from '../protocol/limits.ts'
import { countSlots } from './heartbeat.ts'
import type { Instance } from './instance.ts'
import type { JobFigures } from './model-figures.ts'

const mb = (bytes: number): number => Math.round(bytes / 1024 ** 2)

/** What the agent measures of its own work, for the heartbeat and for its owner. */
export function buildMetrics(
  held: readonly Instance[],
  figuresOf: (model: string) => JobFigures,
  availableBytes: number,
): AgentMetrics {
  const { busySlots, slots } = countSlots(held)
  return {
    slots_busy: busySlots,
    slots_total: slots,
    queue_depth: held.reduce((sum, { waiting }) => sum + waiting.length, 0),
    models_waiting: held.filter(({ phase }) => phase.name === 'making_room').length,
    memory_available_mb: mb(availableBytes),
    models: held
      .filter(({ phase }) => phase.name !== 'failed')
      .slice(0, limits.instancesPerAgentMax)
      .map(instance => modelMetrics(instance, figuresOf)),
  }
}

function modelMetrics(
  { load, phase, running, waiting, footprint }: Instance,
  figuresOf: (model: string) => JobFigures,
): ModelMetrics {
  const inMemory = 'engine' in phase
  const { name } = load.manifest
  return {
    model: name,
    memory_main_mb: inMemory ? mb(footprint.mainBytes) : 0,
    memory_gpu_mb: inMemory ? mb(footprint.gpuBytes) : 0,
    slots_busy: running.size,
    slots_total: phase.name === 'ready' ? phase.slots : 0,
    queue_depth: waiting.length,
    load_ms: phase.name === 'ready' ? Math.round(phase.loadMs) : null,
    ...figuresOf(name),
  }
}

import type { Heartbeat } from '../../protocol/agent-message.ts'
import type { ModelMetrics } from '../../protocol/agent-metrics.ts'
import type { ModelFigures } from '../pool-admin.ts'

/**
 * Puts together what agents measure, by model.
 * @param isModel whether the catalogue has a model of that name: agents can say any, and a name becomes a label
 */
export function modelFigures(
  heartbeats: readonly Heartbeat[],
  isModel: (name: string) => boolean,
): readonly ModelFigures[] {
  const byModel = new Map<string, ModelMetrics[]>()
  for (const { metrics } of heartbeats)
    for (const each of metrics?.models ?? []) {
      if (!isModel(each.model)) continue
      const others = byModel.get(each.model)
      if (others === undefined) byModel.set(each.model, [each])
      else others.push(each)
    }
  return [...byModel].map(([model, all]) => ({
    model,
    agents: all.length,
    slotsBusy: sum(all, each => each.slots_busy),
    slotsTotal: sum(all, each => each.slots_total),
    queueDepth: sum(all, each => each.queue_depth),
    memoryMainMb: sum(all, each => each.memory_main_mb),
    memoryGpuMb: sum(all, each => each.memory_gpu_mb),
    prefillTokensPerS: mean(all, each => each.prefill_tokens_per_s),
    decodeTokensPerS: mean(all, each => each.decode_tokens_per_s),
    loadMs: mean(all, each => each.load_ms),
    promptTokens: sum(all, each => each.prompt_tokens),
    cachedTokens: sum(all, each => each.cached_tokens),
  }))
}

/** @returns null when no device's temperature is known */
export function hottestGpuC(heartbeats: readonly Heartbeat[]): number | null {
  const known = heartbeats.flatMap(({ gpus }) => gpus.flatMap(gpu => gpu.temperature_c ?? []))
  return known.length === 0 ? null : known.reduce((hottest, each) => Math.max(hottest, each))
}

const sum = (all: readonly ModelMetrics[], of: (each: ModelMetrics) => number): number =>
  all.reduce((total, each) => total + of(each), 0)

function mean(
  all: readonly ModelMetrics[],
  of: (each: ModelMetrics) => number | null,
): number | null {
  const known = all.flatMap(each => of(each) ?? [])
  return known.length === 0 ? null : known.reduce((total, each) => total + each, 0) / known.length
}

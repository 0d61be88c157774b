import type { ModelMetrics } from './agent-metrics.ts'

/** One model's figures in a line, for owners and operators alike; what is not known is left out. */
export function formatModelMetrics(metrics: ModelMetrics): string {
  const { memory_main_mb, memory_gpu_mb, prefill_tokens_per_s, decode_tokens_per_s } = metrics
  const { load_ms, prompt_tokens, cached_tokens, slots_busy, slots_total, queue_depth } = metrics
  const onGpu = memory_gpu_mb > 0 ? ` and ${memory_gpu_mb} MB on the GPU` : ''
  const parts = [
    `${slots_busy} of ${slots_total} slots busy, ${queue_depth} wait`,
    `${memory_main_mb} MB${onGpu}`,
    prefill_tokens_per_s === null ? null : `prompts ${prefill_tokens_per_s} tokens/s`,
    decode_tokens_per_s === null ? null : `answers ${decode_tokens_per_s} tokens/s`,
    cached_tokens === 0
      ? null
      : `${Math.round((100 * cached_tokens) / prompt_tokens)} % of prompts known`,
    load_ms === null ? null : `loaded in ${(load_ms / 1_000).toFixed(1)} s`,
  ]
  return parts.filter(part => part !== null).join(', ')
}

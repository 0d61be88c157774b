import { Type, type Static } from 'typebox'
import { limits } from './limits.ts'

const Figure = Type.Union([Type.Number({ minimum: 0 }), Type.Null()])
const Count = Type.Integer({ minimum: 0 })

/** What one model does on an agent. Rates are of the last jobs, the newest counting most; null: none yet. */
const ModelMetricsSchema = Type.Object({
  model: Type.String({ maxLength: 128 }),
  /** As planned when it was loaded. */
  memory_main_mb: Type.Number({ minimum: 0 }),
  memory_gpu_mb: Type.Number({ minimum: 0 }),
  slots_busy: Count,
  /** 0 while it is not ready. */
  slots_total: Count,
  /** Jobs that wait for the model or for a slot of it. */
  queue_depth: Count,
  /** Tokens of prompts, those that were computed before left out, by the time to the first token. */
  prefill_tokens_per_s: Figure,
  decode_tokens_per_s: Figure,
  load_ms: Figure,
  /** Since the agent began; the three below too. */
  jobs_finished: Count,
  prompt_tokens: Count,
  /** Tokens of prompts that a slot still knew. */
  cached_tokens: Count,
  answer_tokens: Count,
})
export type ModelMetrics = Static<typeof ModelMetricsSchema>

/** What an agent measures of its own work; a part of the heartbeat that older peers do not know. */
export const AgentMetricsSchema = Type.Object({
  slots_busy: Count,
  slots_total: Count,
  queue_depth: Count,
  /** Models that wait for room in memory. */
  models_waiting: Count,
  /** What a new process could get of main memory. */
  memory_available_mb: Type.Number({ minimum: 0 }),
  models: Type.Array(ModelMetricsSchema, { maxItems: limits.instancesPerAgentMax }),
})
export type AgentMetrics = Static<typeof AgentMetricsSchema>

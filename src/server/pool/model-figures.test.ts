import { afterAll, beforeAll, expect, test } from 'bun:test'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { connectAgent, openPool, type ScriptedAgent } from '../../../test/support/scripted-agent.ts'
import { model } from '../../../test/support/store-fixtures.ts'
import type { ModelMetrics } from '../../protocol/agent-metrics.ts'

let database: TestStore

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())

const figures = (name: string, change: Partial<ModelMetrics> = {}): ModelMetrics => ({
  model: name,
  memory_main_mb: 100,
  memory_gpu_mb: 0,
  slots_busy: 1,
  slots_total: 2,
  queue_depth: 3,
  prefill_tokens_per_s: null,
  decode_tokens_per_s: 40,
  load_ms: 1_500,
  jobs_finished: 7,
  prompt_tokens: 1_000,
  cached_tokens: 250,
  answer_tokens: 300,
  ...change,
})

const reading = {
  id: 'GPU-1',
  temperature_c: 71,
  vram_used_mb: null,
  vram_total_mb: null,
  utilization_pct: null,
  power_w: null,
}

const beats = (agent: ScriptedAgent, models: ModelMetrics[]): void =>
  agent.says({
    type: 'heartbeat',
    sequence: 1,
    agent_id: agent.id,
    status: 'available',
    current_load: 0,
    gpu_state: null,
    gpus: [reading],
    network_latency_ms: null,
    models_loaded: [],
    metrics: {
      slots_busy: 1,
      slots_total: 2,
      queue_depth: 3,
      models_waiting: 0,
      memory_available_mb: 4_000,
      models,
    },
  })

test('what agents measure is shown by model, put together, and only for models that there are', async () => {
  await database.store.addModel(model('tiny'))
  const pool = await openPool(database.store, () => 1_000_000)
  const [one, two] = [
    await connectAgent(pool, database.store, 'one'),
    await connectAgent(pool, database.store, 'two'),
  ]
  beats(one, [figures('tiny'), figures('invented')])
  beats(two, [figures('tiny', { decode_tokens_per_s: 60, prefill_tokens_per_s: 500 })])
  const text = await pool.metrics.render()
  for (const line of [
    'gpupool_model_instances{model="tiny"} 2',
    'gpupool_model_slots_busy{model="tiny"} 2',
    'gpupool_model_queue_depth{model="tiny"} 6',
    'gpupool_model_prefill_tokens_per_second{model="tiny"} 500',
    'gpupool_model_decode_tokens_per_second{model="tiny"} 50',
    'gpupool_model_load_seconds{model="tiny"} 1.5',
    'gpupool_model_memory_main_megabytes{model="tiny"} 200',
    'gpupool_model_cached_prompt_tokens{model="tiny"} 500',
  ])
    expect(text).toContain(line)
  expect(text).toContain('gpupool_gpu_temperature_max_celsius 71')
  expect(text).not.toContain('invented')
  pool.dispatcher.agentGone(one.id, one)
  pool.dispatcher.agentGone(two.id, two)
  expect(await pool.metrics.render()).not.toContain('gpupool_model_slots{')
})

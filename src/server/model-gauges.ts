import { Gauge, type Registry } from 'prom-client'
import type { ModelFigures } from './pool-admin.ts'

type Series = {
  readonly name: string
  readonly help: string
  readonly read: (figures: ModelFigures) => number | null
}

const series: readonly Series[] = [
  { name: 'instances', help: 'Agents that hold or load it', read: each => each.agents },
  { name: 'slots', help: 'Requests it serves at the same time', read: each => each.slotsTotal },
  { name: 'slots_busy', help: 'Of its slots, those that serve', read: each => each.slotsBusy },
  { name: 'queue_depth', help: 'Jobs that wait at agents', read: each => each.queueDepth },
  {
    name: 'prefill_tokens_per_second',
    help: 'Prompt tokens by the time to the first token, mean of its agents',
    read: each => each.prefillTokensPerS,
  },
  {
    name: 'decode_tokens_per_second',
    help: 'Answer tokens of one request, mean of its agents',
    read: each => each.decodeTokensPerS,
  },
  {
    name: 'load_seconds',
    help: 'Its last load, mean of its agents',
    read: each => (each.loadMs === null ? null : each.loadMs / 1_000),
  },
  {
    name: 'memory_main_megabytes',
    help: 'Main memory it takes, all agents',
    read: each => each.memoryMainMb,
  },
  {
    name: 'memory_gpu_megabytes',
    help: 'GPU memory it takes, all agents',
    read: each => each.memoryGpuMb,
  },
  {
    name: 'prompt_tokens',
    help: 'Prompt tokens since its agents began',
    read: each => each.promptTokens,
  },
  {
    name: 'cached_prompt_tokens',
    help: 'Of the prompt tokens, those that were known already',
    read: each => each.cachedTokens,
  },
]

/** Series by model and nothing else: agents come and go, and would make labels without end. */
export function addModelGauges(registry: Registry, models: () => readonly ModelFigures[]): void {
  for (const { name, help, read } of series)
    new Gauge({
      name: `gpupool_model_${name}`,
      help,
      labelNames: ['model'] as const,
      registers: [registry],
      collect() {
        this.reset()
        for (const figures of models()) {
          const value = read(figures)
          if (value !== null) this.set({ model: figures.model }, value)
        }
      },
    })
}

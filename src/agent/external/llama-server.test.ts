import { systemClock } from '../../clock.ts'
import { describeEngine } from '../engine/engine-conformance.ts'
import type { StartEngine } from '../engine/engine.ts'
import { processTimers } from '../timers.ts'
import { ExternalEngine } from './external-engine.ts'
import { readModels } from './read-models.ts'

// Against a real llama-server that somebody has started (CONTRIBUTING.md tells how); without one there is nothing to test.

const base = process.env['GPUPOOL_TEST_LLAMA_SERVER']

if (base !== undefined && base !== '') {
  const found = await readModels({ base, apiKey: null }, null, processTimers)
  if ('problem' in found) throw new Error(`${base}: ${found.problem}`)
  const [model] = found
  if (model === undefined) throw new Error(`${base} serves no model`)
  const start: StartEngine = ({ slots, contextTokens }, onEvent) =>
    new ExternalEngine(
      { clock: systemClock, timers: processTimers },
      { model: { ...model, slots }, contextTokens },
      onEvent,
    )
  describeEngine('llama-server', start, { tokenIds: false, ownProcess: false })
}

import os from 'node:os'
import { CpuUse, cpuTimesOf } from '../../src/agent/cpu-use.ts'
import { sourceEngine } from '../../src/agent/engine/llama-engine.ts'
import { createStartMeasuring } from '../../src/agent/engine/measuring.ts'
import { agentLimits } from '../../src/agent/agent-limits.ts'
import type { Measured } from '../../src/agent/worker/measure-message.ts'
import { worth } from '../../src/agent/worker/thread-sweep.ts'
import { median } from '../harness/statistics.ts'
import { CannotRun } from '../harness/context.ts'

const start = createStartMeasuring(sourceEngine)

/** Measures the processor as the agent does. `all`: every number of threads, however long it takes. */
export async function measureThreads(
  modelPath: string,
  threadsMax: number,
  plan: 'search' | 'all',
): Promise<Measured> {
  const budgetMs = plan === 'all' ? Infinity : agentLimits.calibrationBudgetMs
  const outcome = await start({
    modelPath,
    gpu: false,
    threadsMax,
    plan,
    budgetMs: Math.min(budgetMs, Number.MAX_SAFE_INTEGER),
    environment: {},
  }).outcome
  if (outcome.type === 'failed') throw new CannotRun(outcome.error.message)
  return outcome
}

/** What one number of threads does, over all sweeps. */
export type Count = {
  readonly threads: number
  readonly decodeTokensPerS: number
  readonly prefillTokensPerS: number
  /** Answer tokens per second of usual requests: what the agent compares. */
  readonly worth: number
}

export const countsOf = (sweeps: readonly Measured[]): readonly Count[] =>
  (sweeps[0]?.points ?? []).map(({ threads }) => {
    const points = sweeps.flatMap(sweep => sweep.points.filter(point => point.threads === threads))
    return {
      threads,
      decodeTokensPerS: median(points.map(point => point.decodeTokensPerS)),
      prefillTokensPerS: median(points.map(point => point.prefillTokensPerS ?? 0)),
      worth: median(points.map(worth)),
    }
  })

const lookMs = 2_000

/** Cores that are busy now, as the agent sees it. */
export async function lookAtCpus(): Promise<number> {
  const use = new CpuUse()
  use.look(cpuTimesOf(os.cpus()), true)
  await Bun.sleep(lookMs)
  use.look(cpuTimesOf(os.cpus()), true)
  return use.busyCores ?? 0
}

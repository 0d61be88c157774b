import { orders, say } from '../harness/orders.ts'
import { quantile } from '../harness/statistics.ts'
import { LoadRun } from './load-run.ts'
import type { LoadOrder, LoadResult } from './load.ts'

/** A process of its own, so that what it costs is not counted as anybody else's. */
for await (const order of orders<LoadOrder>()) {
  const startedAt = performance.now()
  const run = new LoadRun(order)
  await run.finished
  const { ttftMs, gapsMs, endsMs, tokens, failed, firstProblem } = run
  const of = (values: readonly number[], share: number) =>
    values.length === 0 ? 0 : quantile(values, share)
  const result: LoadResult = {
    ttftMs,
    gapMs: { p50: of(gapsMs, 0.5), p99: of(gapsMs, 0.99), max: of(gapsMs, 1) },
    endMs: { p50: of(endsMs, 0.5), p99: of(endsMs, 0.99) },
    tokens,
    failed,
    firstProblem,
    wallMs: performance.now() - startedAt,
  }
  say({ event: 'load', ...result })
}

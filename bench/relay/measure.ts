import type { BenchProcess } from '../harness/bench-process.ts'
import { cpuBetween, readCpuOfAll, type CpuUsage } from '../harness/process-usage.ts'
import type { LoadMoment, LoadOrder, LoadResult, Target } from './load.ts'

/** One way from the client to the tokens. */
export type Path = {
  readonly name: 'direct' | 'nginx' | 'gpupool'
  readonly target: Target
  /** Processes whose CPU time is the relay's price; none on the direct way. */
  readonly relayPids: readonly number[]
  /** Everything else that works for this path, by its part. */
  readonly otherPids: Readonly<Record<string, readonly number[]>>
}

/** CPU microseconds a token. */
export type CpuPerToken = {
  readonly relay: number
  readonly relayMainThread: number
  /** While all streams ran and none began or ended; null: there was no such time. */
  readonly relaySteady: number | null
  readonly others: Readonly<Record<string, number>>
}

export type StreamSample = { readonly load: LoadResult; readonly cpu: CpuPerToken }

/** Time to first token, one request after the other on one connection. */
export async function measureFirstToken(
  client: BenchProcess,
  { target }: Path,
  requests: number,
): Promise<LoadResult> {
  return await load(client, {
    event: 'load',
    target,
    streams: requests,
    tokens: 2,
    intervalMs: 1,
    startWithinMs: null,
  })
}

/** Many streams at once: CPU time of every process before and after, and in the steady middle. */
export async function measureStreams(
  client: BenchProcess,
  path: Path,
  shape: Pick<LoadOrder, 'streams' | 'tokens' | 'intervalMs' | 'startWithinMs'>,
): Promise<StreamSample> {
  const parts = Object.entries({ ...path.otherPids, client: [client.pid] })
  const readOthers = () => parts.map(([, pids]) => readCpuOfAll(pids))
  const [before, othersBefore] = [readCpuOfAll(path.relayPids), readOthers()]
  const steady = measureSteady(client, path.relayPids)
  const result = await load(client, { event: 'load', target: path.target, ...shape })
  const [after, othersAfter] = [readCpuOfAll(path.relayPids), readOthers()]
  const relay = cpuBetween(before, after)
  const tokens = Math.max(1, result.tokens)
  return {
    load: result,
    cpu: {
      relay: relay.totalUs / tokens,
      relayMainThread: relay.mainThreadUs / tokens,
      relaySteady: await steady,
      others: Object.fromEntries(
        parts.map(([name], at) => [name, between(othersBefore[at], othersAfter[at]) / tokens]),
      ),
    },
  }
}

async function load(client: BenchProcess, order: LoadOrder): Promise<LoadResult> {
  return await client.ask<LoadResult>(order)
}

async function measureSteady(
  client: BenchProcess,
  pids: readonly number[],
): Promise<number | null> {
  const sample = async (event: string) => {
    const { tokens } = await client.next<LoadMoment>(event)
    return { tokens, cpu: readCpuOfAll(pids), at: performance.now() }
  }
  const [begin, end] = await Promise.all([sample('all_running'), sample('first_ended')])
  const tokens = end.tokens - begin.tokens
  return end.at > begin.at && tokens > 0 ? cpuBetween(begin.cpu, end.cpu).totalUs / tokens : null
}

const between = (before?: CpuUsage, after?: CpuUsage): number =>
  before === undefined || after === undefined ? 0 : cpuBetween(before, after).totalUs

import { BenchProcess } from './harness/bench-process.ts'
import type { Benchmark, Context } from './harness/context.ts'
import { MachineWatch } from './harness/machine.ts'
import { shuffled } from './harness/random.ts'
import type { Report } from './harness/report.ts'
import { measureFirstToken, measureStreams, type Path, type StreamSample } from './relay/measure.ts'
import { startNginx } from './relay/nginx.ts'
import { BenchPool } from './relay/pool.ts'
import { relayReport, type RelayRound } from './relay/report.ts'
import type { LoadResult } from './relay/load.ts'

const roundsDefault = 7
/** Streams begin spread over this many token intervals, as real ones do not begin together. */
const startSpreadIntervals = 10
/** The unpaced part: how fast tokens go through when nothing waits. */
const burst = { streams: 32, tokens: 512, intervalMs: 0, startWithinMs: 1 } as const
/**
 * Requests that nobody counts, so that every path has compiled its code: what a server's first thousand requests take a
 * tenth of a millisecond longer for is Bun's compiler.
 */
const warmUpRequests = 1_000

export const relay: Benchmark = {
  name: 'relay',
  question: 'what does the way through the pool add to a token?',
  run,
}

async function run(context: Context): Promise<Report> {
  const { folder, cpus, progress, settings } = context
  const watch = new MachineWatch(context.loadAverageBefore)
  progress('relay: starting a pool with mock workers, a mock API and nginx')
  const pool = await BenchPool.start(context)
  const client = new BenchProcess({
    name: 'client',
    args: ['bench/relay/load-client.ts'],
    env: {},
    folder,
    cpu: cpus.others,
  })
  const mock = new BenchProcess({
    name: 'mock-api',
    args: ['bench/relay/mock-api.ts'],
    env: {},
    folder,
    cpu: cpus.others,
  })
  const { port } = await mock.next<{ port: number }>('ready')
  const nginx = await startNginx({ upstreamPort: port, folder, cpu: cpus.measured })
  const paths: readonly Path[] = [
    {
      name: 'direct',
      target: { port, model: 'bench', key: null },
      relayPids: [],
      otherPids: { mock: [mock.pid] },
    },
    {
      name: 'nginx',
      target: { port: nginx.port, model: 'bench', key: null },
      relayPids: [nginx.workerPid],
      otherPids: { mock: [mock.pid] },
    },
    {
      name: 'gpupool',
      target: pool.target,
      relayPids: [pool.server.process.pid],
      otherPids: { agents: pool.agentPids, workers: pool.workerPids },
    },
  ]
  const pids = [...pool.pids, ...nginx.pids, client.pid, mock.pid]
  try {
    const rounds = await measureRounds(context, watch, client, paths, pids)
    return relayReport(settings, nginx.version, rounds, watch.quiet)
  } finally {
    await nginx.stop()
    await pool.stop()
    await client.stop()
    await mock.stop()
  }
}

async function measureRounds(
  { settings, random, progress }: Context,
  watch: MachineWatch,
  client: BenchProcess,
  paths: readonly Path[],
  pids: readonly number[],
): Promise<readonly RelayRound[]> {
  const { streams, tokens, intervalMs, requests } = settings
  const startWithinMs = startSpreadIntervals * intervalMs
  const shape = { streams, tokens, intervalMs, startWithinMs }
  const total = settings.rounds ?? roundsDefault
  for (const path of paths) {
    await measureFirstToken(client, path, warmUpRequests)
    await measureStreams(client, path, shape)
    await measureStreams(client, path, burst)
  }
  const rounds: RelayRound[] = []
  for (let number = 1; number <= total; number++) {
    progress(`relay: round ${number} of ${total}`)
    const firstToken = new Map<string, LoadResult>()
    const paced = new Map<string, StreamSample>()
    const burstSamples = new Map<string, StreamSample>()
    await watch.during(pids, async () => {
      for (const path of shuffled(paths, random))
        firstToken.set(path.name, await measureFirstToken(client, path, requests))
      for (const path of shuffled(paths, random))
        paced.set(path.name, await measureStreams(client, path, shape))
      for (const path of shuffled(paths, random))
        burstSamples.set(path.name, await measureStreams(client, path, burst))
    })
    rounds.push({ firstToken, paced, burst: burstSamples })
  }
  return rounds
}

import type { Benchmark, Context } from './harness/context.ts'
import { MachineWatch } from './harness/machine.ts'
import { childrenOf } from './harness/process-usage.ts'
import { shuffled } from './harness/random.ts'
import type { Report } from './harness/report.ts'
import { BenchPool } from './relay/pool.ts'
import { losses, takeoverReport, type Loss, type LossSample } from './takeover/report.ts'
import { WatchedStream } from './takeover/watched-stream.ts'

const roundsDefault = 10
const agents = 2
/** Half of them run on the agent that is lost. */
const streams = 16
/** 20 tokens a second. */
const intervalMs = 50
/** More than a round takes. */
const tokens = 1_000
/** A stream has a pace by then. */
const tokensMin = 20
/** A stream that has not moved so long after a loss does not count as moved; the goals are far below. */
const movedWithinMs = 3_000

export const takeover: Benchmark = {
  name: 'takeover',
  question: 'how long does a client wait when its agent is lost?',
  run,
}

async function run(context: Context): Promise<Report> {
  const { progress, settings, random } = context
  const watch = new MachineWatch(context.loadAverageBefore)
  progress('takeover: starting a pool with two agents and mock workers')
  const pool = await BenchPool.start(context, agents)
  const total = settings.rounds ?? roundsDefault
  const samples: LossSample[] = []
  try {
    for (let round = 1; round <= total; round++)
      for (const loss of shuffled<Loss>(losses, random)) {
        progress(`takeover: round ${round} of ${total}, ${loss}`)
        samples.push(
          await watch.during([pool.server.process.pid], () =>
            lose(pool, loss, round % agents, context),
          ),
        )
        await pool.allLoaded()
      }
    return takeoverReport(samples, intervalMs, watch.quiet)
  } finally {
    await pool.stop()
  }
}

async function lose(
  pool: BenchPool,
  loss: Loss,
  at: number,
  context: Context,
): Promise<LossSample> {
  const agent = pool.agents[at]
  if (agent === undefined) throw new Error('there is no such agent')
  const workers = childrenOf(agent.pid)
  const stopped = loss === 'kill' ? [] : loss === 'stop' ? [agent.pid, ...workers] : workers
  const all = Array.from(
    { length: streams },
    () => new WatchedStream(pool.target, { tokens, intervalMs, tokensMin }),
  )
  await Promise.all(all.map(stream => stream.running))
  // At any moment between two tokens.
  await Bun.sleep(context.random() * intervalMs)
  const movedForNothing = all.filter(({ movedAt }) => movedAt !== null).length
  const lostAt = performance.now()
  if (loss === 'kill') process.kill(agent.pid, 'SIGKILL')
  for (const pid of stopped) process.kill(pid, 'SIGSTOP')
  await Bun.sleep(movedWithinMs)
  const pausesMs = all.flatMap(({ movedAt }) =>
    movedAt === null || movedAt < lostAt ? [] : [movedAt - lostAt],
  )
  const failed = all.filter(({ problem }) => problem !== null).length
  await Promise.all(all.map(stream => stream.stop()))
  for (const pid of stopped) process.kill(pid, 'SIGCONT')
  if (loss === 'kill') {
    await agent.exited
    await pool.restart(at, context)
  }
  return { loss, pausesMs, failed, movedForNothing, streams }
}

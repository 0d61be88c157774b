import type { Quiet } from '../harness/machine.ts'
import { withSpread, type Goal, type Report } from '../harness/report.ts'
import type { Settings } from '../harness/settings.ts'
import { median, summarise } from '../harness/statistics.ts'

export type AgentsSide = 'gpupool' | 'plain'

/** One server in one round. */
export type AgentsSample = {
  /** Per connected agent, after a garbage collection. */
  readonly pssBytesPerAgent: number
  /** Of the whole process with all of them connected, as they left it. */
  readonly rssBytes: number
  readonly connectUsPerAgent: number
  readonly connectWallMs: number
  /** With everybody connected and silent but for pings: share of one CPU. */
  readonly idleShare: number
  /** One heartbeat, idle work taken off. */
  readonly heartbeatUs: number
  readonly heartbeatsUnanswered: number
}

export type AgentsRound = ReadonlyMap<AgentsSide, AgentsSample>

const sides: readonly AgentsSide[] = ['plain', 'gpupool']
const megabyte = 1_000_000
/** performance goals 6 and 7: 90 MB for 10,000 agents under TLS; 10,000 heartbeats in 10 s for 1 % of a CPU. */
const memoryGoalMb = 9
const heartbeatGoalUs = 10
const heartbeatIntervalS = 30

export function agentsReport(
  settings: Settings,
  rounds: readonly AgentsRound[],
  quiet: Quiet,
): Report {
  const of = (side: AgentsSide, figure: (sample: AgentsSample) => number) =>
    rounds.flatMap(round => {
      const sample = round.get(side)
      return sample === undefined ? [] : [figure(sample)]
    })
  const spread = (side: AgentsSide, digits: number, figure: (sample: AgentsSample) => number) =>
    withSpread(summarise(of(side, figure)), digits)
  const memoryMb = (sample: AgentsSample) => (sample.pssBytesPerAgent * 1_000) / megabyte
  return {
    name: 'agents',
    question: 'what does an agent that is merely connected cost the server?',
    peers: [{ name: 'Bun.serve WebSockets', version: Bun.version }],
    tables: [
      {
        title: `${settings.agents} agents over TLS, ${rounds.length} rounds, each with fresh servers`,
        columns: ['', 'plain Bun', 'gpupool', 'ratio'],
        rows: (
          [
            ['memory for 1,000 agents, MB', 2, memoryMb],
            ['whole process, RSS, MB', 1, sample => sample.rssBytes / megabyte],
            ['CPU to connect one, database too, µs', 0, sample => sample.connectUsPerAgent],
            ['all of them connected after, s', 2, sample => sample.connectWallMs / 1_000],
            ['CPU, silent but for pings, %', 2, sample => sample.idleShare * 100],
            ['CPU of one heartbeat, µs', 1, sample => sample.heartbeatUs],
            ['heartbeats unanswered', 0, sample => sample.heartbeatsUnanswered],
          ] satisfies readonly [string, number, (sample: AgentsSample) => number][]
        ).map(([what, digits, figure]) => [
          what,
          ...sides.map(side => spread(side, digits, figure)),
          ratio(of('gpupool', figure), of('plain', figure)),
        ]),
      },
    ],
    goals: goals(median(of('gpupool', memoryMb)), median(of('gpupool', s => s.heartbeatUs))),
    notes: [
      'gpupool: the whole server with its embedded database; agents enrolled by join link, each hello signed. ' +
        'plain: Bun.serve with the same TLS settings; it parses, acknowledges, pings, and knows nobody. ' +
        'Memory is PSS after a garbage collection, less what the process had with the first few connected; ' +
        'kernel memory of sockets is not in it.',
    ],
    quiet,
    samples: rounds.map(round => Object.fromEntries(round)),
  }
}

function ratio(ours: readonly number[], theirs: readonly number[]): string {
  const [our, their] = [median(ours), median(theirs)]
  return their > 0 ? (our / their).toFixed(1) : ''
}

function goals(memoryMb: number, heartbeatUs: number): readonly Goal[] {
  const share = (heartbeatUs * 1_000) / heartbeatIntervalS / 1e6
  return [
    {
      what: 'memory for 1,000 connected agents',
      goal: `≤ ${memoryGoalMb} MB`,
      measured: `${memoryMb.toFixed(2)} MB`,
      met: memoryMb <= memoryGoalMb,
    },
    {
      what: `CPU of one heartbeat (1,000 agents: ${(share * 100).toFixed(2)} % of one CPU)`,
      goal: `≤ ${heartbeatGoalUs} µs`,
      measured: `${heartbeatUs.toFixed(1)} µs`,
      met: heartbeatUs <= heartbeatGoalUs,
    },
  ]
}

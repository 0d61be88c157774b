import type { Benchmark } from './harness/context.ts'
import { MachineWatch } from './harness/machine.ts'
import { withSpread, type Goal } from './harness/report.ts'
import { summarise } from './harness/statistics.ts'
import type { Table } from './harness/table.ts'
import { SchedulerUnderLoad, type QueueRound, type Round, type Sizes } from './scheduler/measure.ts'

const question =
  'how many decisions a second does the scheduler take, beside one that looks at everybody?'
const roundsUsual = 5
const agentsUsual = 10_000
const goals = { decisionsPerS: 1_000_000, p99Us: 10 }

export const scheduler: Benchmark = {
  name: 'scheduler',
  question,
  run: async ({ settings, random, progress, loadAverageBefore }) => {
    const watch = new MachineWatch(loadAverageBefore)
    const sizes: Sizes = {
      // The option's own default is for agents that connect.
      agents: settings.agents === 1_000 ? agentsUsual : settings.agents,
      models: 200,
      decisions: settings.agents < 1_000 ? 2_000 : 100_000,
      plainDecisions: 20,
    }
    const rounds: Round[] = []
    const queueRounds: QueueRound[] = []
    progress(`scheduler: a pool of ${sizes.agents} agents`)
    const pool = new SchedulerUnderLoad(sizes, random)
    // The first one is the compiler's.
    pool.round()
    await watch.during([], async () => {
      for (let round = 0; round < (settings.rounds ?? roundsUsual); round++) {
        progress(`scheduler: round ${round + 1}`)
        rounds.push(pool.round())
      }
      pool.queueRound()
      for (let round = 0; round < (settings.rounds ?? roundsUsual); round++)
        queueRounds.push(pool.queueRound())
      return Promise.resolve()
    })
    return {
      name: 'scheduler',
      question,
      peers: [],
      tables: [decisionTable(rounds), otherTable(rounds, queueRounds)],
      goals: goalsOf(rounds),
      notes: [
        `${sizes.agents} agents of five cards, ${sizes.models} models, three in memory on each agent, four slots each, 40 % of them taken; 20,000 conversations of 40 tenants, whose turns carry up to 16 prefixes. One decision: a request event until its lease is returned, with its fallbacks, on one thread.`,
        'Decisions a second: batches of 1,000, one clock reading each. Percentiles: a clock reading for each decision, included in it; whatever else the machine does meanwhile is in them too. The plain one filters and sorts all agents, on the same pool in the same round.',
        'From the line: every slot is taken and 800 requests wait; a release until the lease of the one whose turn it is, and a request until its place is told.',
      ],
      quiet: watch.quiet,
      samples: [
        ...rounds.map(({ each, ...round }) => ({ ...round, p99Ns: at(each, 0.99) })),
        ...queueRounds,
      ],
    }
  },
}

const at = (sorted: Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

const figures = (rounds: readonly Round[], figure: (round: Round) => number, digits = 2): string =>
  withSpread(summarise(rounds.map(figure)), digits)

const perS = (ns: number): number => 1e9 / ns

const decisionTable = (rounds: readonly Round[]): Table => ({
  title: 'decisions',
  columns: ['', 'per second', 'mean µs', 'p50 µs', 'p99 µs', 'p99.9 µs'],
  rows: [
    [
      'gpupool',
      figures(rounds, each => perS(each.decisionNs), 0),
      figures(rounds, each => each.decisionNs / 1e3),
      figures(rounds, each => at(each.each, 0.5) / 1e3),
      figures(rounds, each => at(each.each, 0.99) / 1e3),
      figures(rounds, each => at(each.each, 0.999) / 1e3),
    ],
    [
      'filter and sort',
      figures(rounds, each => perS(each.plainNs), 0),
      figures(rounds, each => each.plainNs / 1e3, 0),
      '',
      '',
      '',
    ],
    ['ratio', figures(rounds, each => each.plainNs / each.decisionNs, 0), '', '', '', ''],
  ],
})

const otherTable = (rounds: readonly Round[], queueRounds: readonly QueueRound[]): Table => ({
  title: 'what else a request costs, µs',
  columns: ['', 'mean'],
  rows: [
    ['one look into a table of all job ids', figures(rounds, each => each.lookupNs / 1e3, 3)],
    ['release', figures(rounds, each => each.releaseNs / 1e3)],
    [
      'from the line: hand over',
      withSpread(summarise(queueRounds.map(each => each.handOverNs / 1e3)), 2),
    ],
    [
      'from the line: line up',
      withSpread(summarise(queueRounds.map(each => each.lineUpNs / 1e3)), 2),
    ],
  ],
})

function goalsOf(rounds: readonly Round[]): readonly Goal[] {
  const rate = summarise(rounds.map(each => perS(each.decisionNs))).median
  const p99 = summarise(rounds.map(each => at(each.each, 0.99) / 1e3)).median
  return [
    {
      what: 'decisions a second, one core',
      goal: '≥ 1,000,000',
      measured: rate.toFixed(0),
      met: rate >= goals.decisionsPerS,
    },
    { what: 'p99', goal: '≤ 10 µs', measured: p99.toFixed(2), met: p99 <= goals.p99Us },
  ]
}

import type { Benchmark } from './harness/context.ts'
import { MachineWatch } from './harness/machine.ts'
import { createRandom } from './harness/random.ts'
import type { Goal } from './harness/report.ts'
import type { Table } from './harness/table.ts'
import { machineSpecs } from './policies/fleet.ts'
import type { Machine } from './policies/machine.ts'
import {
  Balancer,
  clairvoyant,
  leastConnections,
  powerOfTwo,
  randomly,
  roundRobin,
  type Policy,
  type Start,
} from './policies/policies.ts'
import { PoolPolicy } from './policies/pool-policy.ts'
import { bound, replay, served, type Outcome } from './policies/replay.ts'
import { traceOf } from './policies/trace.ts'

const question =
  'how good are the scheduler’s choices on a heterogeneous pool, beside the usual balancers?'
const roundsUsual = 3
/** Conversations a second: half of what the pool can serve, three quarters, the knee, and beyond it. */
const rates = [0.3, 0.6, 0.8, 1] as const
const durationMs = 900_000

type Maker = (machines: readonly Machine[], start: Start, seed: number) => Policy

const ours = 'gpupool'
const makers: Readonly<Record<string, Maker>> = {
  'round robin': (machines, start) => new Balancer(machines, roundRobin(), start),
  random: (machines, start, seed) => new Balancer(machines, randomly(createRandom(seed)), start),
  'least connections': (machines, start) => new Balancer(machines, leastConnections(), start),
  'power of two choices': (machines, start, seed) =>
    new Balancer(machines, powerOfTwo(createRandom(seed)), start),
  [ours]: (machines, start) => new PoolPolicy(machines, start, true),
  'gpupool, no affinity': (machines, start) => new PoolPolicy(machines, start, false),
  'clairvoyant, greedy': (machines, start) => new Balancer(machines, clairvoyant(), start),
}
const rivals = ['round robin', 'random', 'least connections', 'power of two choices']
const boundName = 'bound'

type Sample = {
  readonly rate: number
  readonly seed: number
  readonly requests: number
  readonly outcomes: Readonly<Record<string, Outcome>>
}

export const policies: Benchmark = {
  name: 'policies',
  question,
  run: async ({ settings, progress }) => {
    const watch = new MachineWatch(0)
    const samples: Sample[] = []
    for (const rate of rates)
      for (let round = 0; round < (settings.rounds ?? roundsUsual); round++) {
        progress(`policies: ${rate} conversations a second, trace ${round + 1}`)
        samples.push(sampleOf(rate, settings.seed + round))
      }
    return Promise.resolve({
      name: 'policies',
      question,
      peers: [],
      tables: [
        table(samples, 'goodput, answers a second that were served well', goodputOf),
        table(samples, 'time to first token, p90 s', p90Of),
        table(samples, 'time to first token, p50 s', p50Of),
        table(samples, 'time to first token, p90 s, of the eight tenants that ask least', lightOf),
      ],
      goals: rates.flatMap(rate => goalsOf(samples, rate)),
      notes: [
        `Simulated time: the same seed gives the same figures on every machine. 28 machines (8 RTX 4060, 8 RTX 3060, 5 RTX 3090, 4 RTX 4090, 3 without a card), each 0.6 to 1.1 times as fast as its card's figures, which alone the scheduler knows; a sixth of them fails one job in five. Two models, the large one on the 24 GB cards only. Fifteen minutes of conversations of 12 tenants in an open loop, the first two not counted; means of the traces.`,
        `Served well: first token within ${served.firstTokenMsMax / 1_000} s and on average no more than ${served.msPerTokenMax} ms a token after it. The balancers are given who holds the model and who has a free slot, and what failed goes elsewhere first. The clairvoyant knows lengths, speeds, caches and failures, and is greedy. Bound: each request alone on its fastest machine with all in its cache that could be.`,
      ],
      quiet: watch.quiet,
      samples,
    })
  },
}

function sampleOf(rate: number, seed: number): Sample {
  const specs = machineSpecs(createRandom(seed))
  const trace = traceOf({ conversationsPerS: rate, durationMs, random: createRandom(seed + 1_000) })
  const outcomes = Object.entries(makers).map(([name, make]): [string, Outcome] => [
    name,
    replay(trace, specs, (machines, start) => make(machines, start, seed)),
  ])
  return {
    rate,
    seed,
    requests: trace.length,
    outcomes: { ...Object.fromEntries(outcomes), [boundName]: bound(trace, specs) },
  }
}

const goodputOf = ({ goodput }: Outcome): number => goodput
const p90Of = ({ p90FirstTokenMs }: Outcome): number => p90FirstTokenMs / 1_000
const p50Of = ({ p50FirstTokenMs }: Outcome): number => p50FirstTokenMs / 1_000
const lightOf = ({ p90LightTenantsMs }: Outcome): number => p90LightTenantsMs / 1_000

function table(
  samples: readonly Sample[],
  title: string,
  figure: (outcome: Outcome) => number,
): Table {
  const requestsPerS = (rate: number) =>
    mean(samples.filter(each => each.rate === rate).map(({ requests }) => requests)) /
    (durationMs / 1_000)
  return {
    title,
    columns: ['requests a second', ...rates.map(rate => requestsPerS(rate).toFixed(1))],
    rows: [...Object.keys(makers), boundName].map(name => [
      name,
      ...rates.map(rate => meanOf(samples, rate, name, figure).toFixed(2)),
    ]),
  }
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

const meanOf = (
  samples: readonly Sample[],
  rate: number,
  name: string,
  figure: (outcome: Outcome) => number,
): number =>
  mean(
    samples
      .filter(each => each.rate === rate)
      .flatMap(({ outcomes: { [name]: outcome } }) =>
        outcome === undefined ? [] : figure(outcome),
      ),
  )

function goalsOf(samples: readonly Sample[], rate: number): readonly Goal[] {
  const of = (name: string, figure: (outcome: Outcome) => number) =>
    meanOf(samples, rate, name, figure)
  const goodput = Math.max(...rivals.map(name => of(name, goodputOf)))
  const p90 = Math.min(...rivals.map(name => of(name, p90Of)))
  return [
    {
      what: `${rate} conversations/s: goodput`,
      goal: `≥ best balancer, ${goodput.toFixed(2)}`,
      measured: of(ours, goodputOf).toFixed(2),
      met: of(ours, goodputOf) >= goodput,
    },
    {
      what: `${rate} conversations/s: p90 to first token`,
      goal: `≤ best balancer, ${p90.toFixed(2)} s`,
      measured: `${of(ours, p90Of).toFixed(2)} s`,
      met: of(ours, p90Of) <= p90,
    },
  ]
}

import type { Quiet } from '../harness/machine.ts'
import { withSpread, type Goal, type Report } from '../harness/report.ts'
import type { Settings } from '../harness/settings.ts'
import { median, quantile, summarise } from '../harness/statistics.ts'
import type { Table } from '../harness/table.ts'
import type { LoadResult } from './load.ts'
import type { Path, StreamSample } from './measure.ts'

type PathName = Path['name']

/** One round: every path once in each part. */
export type RelayRound = {
  readonly firstToken: ReadonlyMap<string, LoadResult>
  readonly paced: ReadonlyMap<string, StreamSample>
  readonly burst: ReadonlyMap<string, StreamSample>
}

const addedFirstTokenGoalMs = 0.25
const cpuRatioGoal = 0.85

export function relayReport(
  settings: Settings,
  nginxVersion: string,
  rounds: readonly RelayRound[],
  quiet: Quiet,
): Report {
  const { streams, tokens, intervalMs } = settings
  return {
    name: 'relay',
    question: 'what does the way through the pool add to a token?',
    peers: [
      { name: 'nginx', version: nginxVersion },
      { name: 'Bun', version: Bun.version },
    ],
    tables: [
      firstTokenTable(rounds, settings.requests),
      streamTable(
        `CPU a token, µs: ${streams} streams of ${tokens} tokens, one every ${intervalMs} ms`,
        rounds.map(round => round.paced),
      ),
      othersTable(rounds),
      streamTable(
        'CPU a token, µs: 32 streams of 512 tokens, as fast as they go',
        rounds.map(round => round.burst),
      ),
    ],
    goals: goals(rounds),
    notes: [
      'direct: the client asks a mock API of Bun.serve itself. nginx relays that mock. gpupool: client, ' +
        'server, TLS WebSocket, agent, mock worker and back, with authentication, scheduling and accounting. ' +
        'CPU of nginx is its worker’s, of gpupool the server process’s with its embedded database.',
      'whole: everything from the first request to the last byte, requests’ own cost included. steady: only ' +
        'while all streams run and none begins or ends. main: the server’s event loop alone, without its database. gap: between two reads of a stream, ms. end: from its last token to the end of the ' +
        'response, in which usage is committed, ms.',
    ],
    quiet,
    samples: rounds.map(round => ({
      firstToken: Object.fromEntries(round.firstToken),
      paced: Object.fromEntries(round.paced),
      burst: Object.fromEntries(round.burst),
    })),
  }
}

const names: readonly PathName[] = ['direct', 'nginx', 'gpupool']

/** Added to the direct path's figure of the same round: rounds differ more than paths do. */
const addedMs = (rounds: readonly RelayRound[], name: PathName, share: number): readonly number[] =>
  rounds.map(({ firstToken }) => {
    const at = (path: PathName) => quantile(get(firstToken, path).ttftMs, share)
    return at(name) - at('direct')
  })

function firstTokenTable(rounds: readonly RelayRound[], requests: number): Table {
  return {
    title: `time to first token, ms: one request after the other, ${rounds.length} rounds of ${requests}`,
    columns: ['', 'p50', 'p99', 'added p50', 'added p99', 'failed'],
    rows: names.map(name => {
      const results = rounds.map(({ firstToken }) => get(firstToken, name))
      const all = results.flatMap(result => result.ttftMs)
      const added = (share: number) =>
        name === 'direct' ? '' : withSpread(summarise(addedMs(rounds, name, share)), 3)
      return [
        name,
        withSpread(summarise(results.map(result => median(result.ttftMs))), 3),
        quantile(all, 0.99).toFixed(3),
        added(0.5),
        added(0.99),
        String(results.reduce((sum, result) => sum + result.failed, 0)),
      ]
    }),
  }
}

function streamTable(title: string, rounds: readonly ReadonlyMap<string, StreamSample>[]): Table {
  return {
    title,
    columns: ['', 'whole', 'main', 'steady', 'tokens/s', 'gap p99', 'end p99', 'failed'],
    rows: names.map(name => {
      const samples = rounds.map(round => get(round, name))
      const loads = samples.map(sample => sample.load)
      const steady = samples.flatMap(({ cpu }) => cpu.relaySteady ?? [])
      const isRelay = name !== 'direct'
      const rates = loads.map(load => (load.tokens / load.wallMs) * 1_000)
      return [
        name,
        isRelay ? withSpread(summarise(samples.map(({ cpu }) => cpu.relay)), 1) : '',
        isRelay ? median(samples.map(({ cpu }) => cpu.relayMainThread)).toFixed(1) : '',
        isRelay && steady.length > 0 ? withSpread(summarise(steady), 1) : '',
        median(rates).toFixed(0),
        median(loads.map(load => load.gapMs.p99)).toFixed(1),
        median(loads.map(load => load.endMs.p99)).toFixed(1),
        String(loads.reduce((sum, load) => sum + load.failed, 0)),
      ]
    }),
  }
}

/** What everybody around the relay spends on the same tokens. */
function othersTable(rounds: readonly RelayRound[]): Table {
  const parts = ['mock', 'agents', 'workers', 'client'] as const
  return {
    title: 'CPU a token, µs, of the others in the same run',
    columns: ['', ...parts],
    rows: names.map(name => [
      name,
      ...parts.map(part => {
        const values = rounds.flatMap(({ paced }) => get(paced, name).cpu.others[part] ?? [])
        return values.length === 0 ? '' : median(values).toFixed(1)
      }),
    ]),
  }
}

function goals(rounds: readonly RelayRound[]): readonly Goal[] {
  const added = median(addedMs(rounds, 'gpupool', 0.5))
  const ratios = (figure: (sample: StreamSample) => number | null) =>
    rounds.flatMap(({ paced }) => {
      const [ours, theirs] = [figure(get(paced, 'gpupool')), figure(get(paced, 'nginx'))]
      return ours === null || theirs === null ? [] : [ours / theirs]
    })
  const ratioGoal = (what: string, values: readonly number[]): readonly Goal[] =>
    values.length === 0
      ? []
      : [
          {
            what,
            goal: `≤ ${cpuRatioGoal}`,
            measured: withSpread(summarise(values), 2),
            met: median(values) <= cpuRatioGoal,
          },
        ]
  return [
    {
      what: 'time to first token that the pool adds, p50',
      goal: `≤ ${addedFirstTokenGoalMs} ms`,
      measured: `${added.toFixed(3)} ms`,
      met: added <= addedFirstTokenGoalMs,
    },
    ...ratioGoal(
      'CPU a token, server ÷ nginx, whole',
      ratios(({ cpu }) => cpu.relay),
    ),
    ...ratioGoal(
      'CPU a token, server ÷ nginx, steady',
      ratios(({ cpu }) => cpu.relaySteady),
    ),
  ]
}

function get<Value>(values: ReadonlyMap<string, Value>, name: PathName): Value {
  const value = values.get(name)
  if (value === undefined) throw new Error(`a round has no figures of ${name}`)
  return value
}

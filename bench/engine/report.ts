import { withSpread, type Goal } from '../harness/report.ts'
import { median, summarise } from '../harness/statistics.ts'
import type { Table } from '../harness/table.ts'
import type { PromptSample, StreamsSample } from './load.ts'
import type { SideName } from './side.ts'

export type EngineRound = {
  readonly streams: Readonly<Record<number, Partial<Record<SideName, StreamsSample>>>>
  readonly prompt: Partial<Record<SideName, PromptSample>>
  readonly loadAverage: number
}

const goals = { ratioAlone: 0.98, ratio: 0.97, fill: 0.98, firstRatio: 1.05, turnRatio: 6 } as const
/** Streams at which the speeds are compared. */
const comparedCounts = [1, 4, 8]

type Choice<Value> = (round: EngineRound) => Partial<Record<SideName, Value>> | undefined

/** One figure of one side, a value a round. */
function valuesOf<Value>(
  rounds: readonly EngineRound[],
  pick: Choice<Value>,
  side: SideName,
  figure: (value: Value) => number,
): readonly number[] {
  return rounds.flatMap(round => {
    const value = pick(round)?.[side]
    return value === undefined ? [] : [figure(value)]
  })
}

/** Ours by theirs, within each round. */
function ratiosOf<Value>(
  rounds: readonly EngineRound[],
  pick: Choice<Value>,
  figure: (value: Value) => number,
): readonly number[] {
  return rounds.flatMap(round => {
    const { gpupool, 'llama-server': theirs } = pick(round) ?? {}
    return gpupool === undefined || theirs === undefined ? [] : [figure(gpupool) / figure(theirs)]
  })
}

const cell = (values: readonly number[], digits: number): string =>
  values.length === 0 ? '–' : withSpread(summarise(values), digits)

export function tablesOf(
  rounds: readonly EngineRound[],
  counts: readonly number[],
): readonly Table[] {
  const at = (count: number) => (round: EngineRound) => round.streams[count]
  const sides = (['gpupool', 'llama-server'] as const).filter(
    side => rounds[0]?.prompt[side] !== undefined,
  )
  const prompt: Choice<PromptSample> = round => round.prompt
  return [
    {
      title: 'streams at once, short prompts',
      columns: ['', 'tokens/s', 'CPU ms/token', 'first token ms', 'mean batch', 'full'],
      rows: counts.flatMap(count =>
        sides.map(side => {
          const values = (figure: (sample: StreamsSample) => number) =>
            valuesOf(rounds, at(count), side, figure)
          const fills = values(sample => sample.fill ?? Number.NaN).filter(Number.isFinite)
          return [
            `${count} × ${side}`,
            cell(
              values(sample => sample.tokensPerS),
              1,
            ),
            cell(
              values(sample => sample.cpuMsPerToken),
              1,
            ),
            cell(
              values(sample => sample.firstMs),
              0,
            ),
            cell(
              values(sample => sample.meanBatch),
              2,
            ),
            cell(fills, 3),
          ]
        }),
      ),
    },
    {
      title: `a prompt of ${rounds[0]?.prompt.gpupool?.promptTokens ?? 0} tokens`,
      columns: ['', 'first turn ms', 'second turn ms', 'cached', 'longest gap of others ms'],
      rows: sides.map(side => {
        const values = (figure: (sample: PromptSample) => number) =>
          valuesOf(rounds, prompt, side, figure)
        return [
          side,
          cell(
            values(sample => sample.firstTurnMs),
            0,
          ),
          cell(
            values(sample => sample.secondTurnMs),
            0,
          ),
          cell(
            values(sample => sample.cachedTokens),
            0,
          ),
          cell(
            values(sample => sample.gapMs),
            0,
          ),
        ]
      }),
    },
  ]
}

export function goalsOf(
  rounds: readonly EngineRound[],
  counts: readonly number[],
): readonly Goal[] {
  const at = (count: number) => (round: EngineRound) => round.streams[count]
  const speeds = comparedCounts.flatMap(count =>
    atLeast(
      `tokens/s by llama-server's, ${count} streams`,
      count === 1 ? goals.ratioAlone : goals.ratio,
      ratiosOf(rounds, at(count), sample => sample.tokensPerS),
    ),
  )
  const fills = counts.flatMap(count =>
    atLeast(
      `batches full, ${count} streams`,
      goals.fill,
      valuesOf(rounds, at(count), 'gpupool', sample => sample.fill ?? 0),
    ),
  )
  const firsts = ratiosOf(
    rounds,
    round => round.prompt,
    sample => sample.firstTurnMs,
  )
  const turns = valuesOf(
    rounds,
    round => round.prompt,
    'gpupool',
    sample => sample.firstTurnMs / sample.secondTurnMs,
  )
  return [
    ...speeds,
    ...fills,
    ...atMost("first token of a long prompt by llama-server's", goals.firstRatio, firsts),
    ...atLeast('first turn by second turn, to the first token', goals.turnRatio, turns),
  ]
}

const atLeast = (what: string, goal: number, values: readonly number[]): readonly Goal[] =>
  goalOf(what, `≥ ${goal}`, values, value => value >= goal)

const atMost = (what: string, goal: number, values: readonly number[]): readonly Goal[] =>
  goalOf(what, `≤ ${goal}`, values, value => value <= goal)

/** No goal without a measurement: without llama-server there is nothing to compare with. */
function goalOf(
  what: string,
  goal: string,
  values: readonly number[],
  isMet: (value: number) => boolean,
): readonly Goal[] {
  if (values.length === 0) return []
  return [{ what, goal, measured: cell(values, 3), met: isMet(median(values)) }]
}

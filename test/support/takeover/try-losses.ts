import { expect } from 'bun:test'
import { Campaign, isUnchanged, type CampaignOptions, type Outcome, type Run } from './campaign.ts'
import type { TakeoverPool, Undisturbed } from './pool.ts'
import { isShare, positionsOf, readSelection, selectionVariable } from './positions.ts'

/** Runs that were not cut where they were meant to be are repeated so often; on a machine that is too busy it may happen. */
const roundsMax = 3

const selection = readSelection()

export type Trial = CampaignOptions & {
  /** Test file, for the command that repeats a run. */
  readonly file: string
  /** Where all attempts stop when the first one stops there. */
  readonly stopsFrom: (position: number, answer: Undisturbed) => readonly number[]
  /** Whether the run was cut as it was meant to be; else it is repeated. */
  readonly counts: (outcome: Outcome) => boolean
  /** Of a share of the positions, the first one and which others; all of them where nothing is said. */
  readonly first?: number
  readonly every?: number
  /** And of which answers only. */
  readonly few?: readonly string[]
}

/** Cuts each answer at the positions that are wanted and expects that no client can tell. */
export async function tryLosses(
  pool: TakeoverPool,
  answers: readonly Undisturbed[],
  trial: Trial,
): Promise<void> {
  const losses = trial.losses.map(({ name }) => name).join('+')
  const name = trial.moment === 'standing' ? losses : `${losses}-in-flight`
  const some = isShare(selection)
  const wanted = answers.filter(one => !some || (trial.few?.includes(one.name) ?? true))
  const all = wanted.flatMap(answer =>
    positionsOf(answer, selection, { losses: name, first: trial.first ?? 0 })
      .filter((_, at) => !some || at % (trial.every ?? 1) === 0)
      .map((position): Run => ({ answer, stops: trial.stopsFrom(position, answer) })),
  )
  const changed: object[] = []
  let open: readonly Run[] = all
  let uncounted: readonly Outcome[] = []
  for (let round = 0; round < roundsMax && open.length > 0; round++) {
    const outcomes = await new Campaign(pool, trial).run(open)
    for (const outcome of outcomes)
      if (!isUnchanged(outcome)) changed.push(report(outcome, name, trial.file))
    uncounted = outcomes.filter(outcome => !trial.counts(outcome))
    open = uncounted.map(({ run }) => run)
  }
  console.log(
    `${name}: ${all.length} answers cut (${describeSelection()}), ${changed.length} changed, ${uncounted.length} not cut where they should be`,
  )
  expect(changed).toEqual([])
  expect(uncounted.map(outcome => report(outcome, name, trial.file))).toEqual([])
}

const describeSelection = (): string =>
  selection.kind === 'random' ? `seed ${selection.seed}` : selection.kind

/** With the command that tries it again. */
function report({ run, heard, attempts, lost, replayed }: Outcome, name: string, file: string) {
  const { answer, stops } = run
  const again = `${selectionVariable}=${name}/${answer.name}/${stops[0]} bun test ${file}`
  return { again, stops, attempts, lost, replayed, heard, undisturbed: answer.heard }
}

import { disturbances, type Machine, type Quiet } from './machine.ts'
import type { Summary } from './statistics.ts'
import { formatTable, wrap, type Table } from './table.ts'

/** What somebody wished for, beside what was measured. Printed, never asserted: machines differ. */
export type Goal = {
  readonly what: string
  readonly goal: string
  readonly measured: string
  readonly met: boolean
}

/** The outcome of one benchmark. */
export type Report = {
  readonly name: string
  readonly question: string
  /** Who was measured beside us, each with its version. */
  readonly peers: readonly { readonly name: string; readonly version: string }[]
  readonly tables: readonly Table[]
  readonly goals: readonly Goal[]
  readonly notes: readonly string[]
  readonly quiet: Quiet
  /** Every round's raw figures, for `--json`. */
  readonly samples: readonly unknown[]
}

/** What the reader has to know of the run as a whole. */
export type Run = {
  readonly seed: number
  readonly startedAt: string
  readonly machine: Machine
  readonly forced: boolean
}

const width = 96

/** @returns why the report's figures are not judged; empty: they are */
export const notJudged = (report: Report, run: Run): readonly string[] =>
  run.forced ? [] : disturbances(report.quiet, run.machine.cpus)

export function formatReport(report: Report, run: Run): string {
  const { machine } = run
  const peers = report.peers.map(({ name, version }) => `${name} ${version}`).join(', ')
  const reasons = notJudged(report, run)
  const head = [
    `${report.name}: ${report.question}`,
    '─'.repeat(width),
    wrap(
      `${run.startedAt}, ${machine.cpus} × ${machine.cpu}, ${machine.memoryGib} GiB, ${machine.kernel}; ${peers}; seed ${run.seed}${machine.pinned ? '; servers on CPU 0, everything else on CPU 1' : ''}`,
      width,
      '',
    ),
  ]
  return [
    head.join('\n'),
    ...report.tables.map(formatTable),
    report.notes.map(note => wrap(note, width, '  ')).join('\n'),
    formatGoals(report.goals, reasons),
  ].join('\n\n')
}

function formatGoals(goals: readonly Goal[], reasons: readonly string[]): string {
  const verdict = ({ met }: Goal) => (reasons.length > 0 ? 'not judged' : met ? 'met' : 'not met')
  const table = formatTable({
    title: 'goals',
    columns: ['', 'goal', 'measured', ''],
    rows: goals.map(goal => [goal.what, goal.goal, goal.measured, verdict(goal)]),
  })
  if (reasons.length === 0) return table
  const why = `Not judged: ${reasons.join('; ')}. Wait for a quiet machine, or say --force.`
  return `${table}\n\n${wrap(why, width, '')}`
}

/** The whole run as one JSON document. */
export const toJson = (reports: readonly Report[], run: Run): string =>
  JSON.stringify(
    {
      ...run,
      benchmarks: reports.map(report => ({
        ...report,
        notJudged: notJudged(report, run),
      })),
    },
    null,
    2,
  )

/** "12.3 (11.9–12.8)": the median and the middle half of the rounds. */
export const withSpread = ({ median, q1, q3 }: Summary, digits: number): string =>
  q1 === q3
    ? median.toFixed(digits)
    : `${median.toFixed(digits)} (${q1.toFixed(digits)}–${q3.toFixed(digits)})`

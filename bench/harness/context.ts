import type { Settings } from './settings.ts'
import type { Report } from './report.ts'

/** What a benchmark is given. */
export type Context = {
  readonly settings: Settings
  /** A folder of this run's own, removed after it. */
  readonly folder: string
  /** Seeded: the order of everything. */
  readonly random: () => number
  /** One line about what happens now, for somebody who waits. */
  readonly progress: (text: string) => void
  /** One-minute load average before the run. */
  readonly loadAverageBefore: number
  /** CPUs for what is measured and for everything around it; null: any. */
  readonly cpus: { readonly measured: number | null; readonly others: number | null }
}

export type Benchmark = {
  readonly name: string
  readonly question: string
  readonly run: (context: Context) => Promise<Report>
}

/** The benchmark cannot run here; the text says what to do about it. */
export class CannotRun extends Error {
  override readonly name = 'CannotRun'
}

import type { Quiet } from '../harness/machine.ts'
import type { Goal, Report } from '../harness/report.ts'
import { quantile } from '../harness/statistics.ts'

/** How an agent is lost. */
export const losses = ['kill', 'stop', 'hang'] as const
export type Loss = (typeof losses)[number]

/** One loss in the middle of many streams. */
export type LossSample = {
  readonly loss: Loss
  /** From the loss to the first token of the second agent, for each stream that moved, in milliseconds. */
  readonly pausesMs: readonly number[]
  /** Streams that broke. */
  readonly failed: number
  /** Streams that moved before anything was lost. */
  readonly movedForNothing: number
  readonly streams: number
}

const names: Readonly<Record<Loss, string>> = {
  kill: 'kill -9 of the agent',
  stop: 'SIGSTOP of agent and worker',
  hang: 'SIGSTOP of the worker alone',
}

export function takeoverReport(
  samples: readonly LossSample[],
  intervalMs: number,
  quiet: Quiet,
): Report {
  const pausesOf = (loss: Loss) =>
    samples.filter(sample => sample.loss === loss).flatMap(({ pausesMs }) => pausesMs)
  const sum = (figure: (sample: LossSample) => number) =>
    samples.reduce((total, sample) => total + figure(sample), 0)
  return {
    name: 'takeover',
    question: 'how long does a client wait when its agent is lost?',
    peers: [{ name: 'Bun', version: Bun.version }],
    tables: [
      {
        title: `pause, ms, of streams with a token every ${intervalMs} ms`,
        columns: ['', 'losses', 'streams moved', 'p50', 'p90', 'p99', 'longest', 'failed'],
        rows: losses.map(loss => {
          const pauses = pausesOf(loss)
          const own = samples.filter(sample => sample.loss === loss)
          const at = (share: number) =>
            pauses.length === 0 ? '' : quantile(pauses, share).toFixed(1)
          const failed = own.reduce((total, sample) => total + sample.failed, 0)
          return [
            names[loss],
            String(own.length),
            String(pauses.length),
            ...[0.5, 0.9, 0.99, 1].map(at),
            String(failed),
          ]
        }),
      },
    ],
    goals: [
      ...goal('after a kill, p50 ms', pausesOf('kill'), 0.5, 20),
      ...goal('after a kill, p99 ms', pausesOf('kill'), 0.99, 100),
      ...goal('after a silent stop, p99 ms', pausesOf('stop'), 0.99, 1_500),
      ...goal('after a silent stop of the worker alone, p99 ms', pausesOf('hang'), 0.99, 1_500),
    ],
    notes: [
      'A pause is the time from the loss to the first token of the second agent at the client. The mock worker takes no time ' +
        'for prefill and for its first token, so this is what a client waits beside the prefill and one decode.',
      `Moved to another agent with nothing lost: ${sum(sample => sample.movedForNothing)} of ${sum(sample => sample.streams)} streams.`,
    ],
    quiet,
    samples,
  }
}

function goal(
  what: string,
  pauses: readonly number[],
  share: number,
  max: number,
): readonly Goal[] {
  if (pauses.length === 0) return []
  const measured = quantile(pauses, share)
  return [{ what, goal: `≤ ${max}`, measured: measured.toFixed(1), met: measured <= max }]
}

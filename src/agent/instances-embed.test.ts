import { expect, test } from 'bun:test'
import { newInstanceId, newJobId } from '../protocol/ids.ts'
import type { AssignEmbed } from '../protocol/server-message.ts'
import { assignOf, Bench, brief, died, loadOf } from './instances-for-tests.ts'

const a = newInstanceId()
const embed = { kind: 'embedding' as const, inputs: ['hi'], normalise: true }
const assignEmbed = (stream: number): AssignEmbed => ({
  type: 'assign_embed',
  jobId: newJobId(),
  stream,
  attempt: 0,
  instanceId: a,
  embed,
})

test('a job for vectors waits for the load and for a slot like a chat, and the engine gets it whole', () => {
  const bench = new Bench()
  bench.order(loadOf(a))
  expect(bench.order(assignEmbed(1))).toEqual([])
  bench.ready(a)
  expect(bench.instances.held[0]?.running.size).toBe(1)
  expect(bench.order(assignEmbed(2))).toEqual([
    { type: 'run_job', engine: 1, job: { stream: 2, attempt: 0, embed } },
  ])
  expect(bench.order(assignOf(a, 3))).toEqual([])
  const finished = { type: 'finished', stream: 1, attempt: 0, reason: 'stop', tokens: 0 } as const
  expect(brief(bench.word(1, finished))).toEqual(['finished', 'run 3'])
})

test('it is cancelled, and fails with its worker, like a chat', () => {
  const bench = new Bench()
  bench.ready(a)
  bench.order(assignEmbed(1))
  bench.order(assignEmbed(2))
  expect(brief(bench.order({ type: 'cancel', stream: 1, attempt: 0 }))).toEqual(['cancel 1'])
  expect(brief(bench.word(1, died))).toContain('failed 2 worker_died')
})

import { describe, expect, test } from 'bun:test'
import type { EngineJob } from '../engine/engine.ts'
import { JobTable, jobsWaitingMax, type JobEntry } from './job-table.ts'

const job = (stream: number): EngineJob => ({
  stream,
  attempt: 1,
  chat: {
    messages: [{ role: 'user', content: 'x' }],
    tools: [],
    sampling: { temperature: 0, topP: 1, seed: 1 },
    maxTokens: null,
    stop: [],
    renderTimeMs: 0,
  },
  continuation: null,
})

/** A table whose jobs run until the test ends them. */
function table(): {
  jobs: JobTable
  started: { entry: JobEntry; end: () => Promise<void> }[]
} {
  const started: { entry: JobEntry; end: () => Promise<void> }[] = []
  const jobs = new JobTable(entry => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const end = async () => {
      resolve()
      await promise
      // The table hears of it one turn after the promise.
      await Promise.resolve()
    }
    started.push({ entry, end })
    return promise
  })
  return { jobs, started }
}

describe('slots', () => {
  test('jobs wait for the load, then at most as many run as there are slots, in order', async () => {
    const { jobs, started } = table()
    for (const stream of [1, 2, 3]) jobs.add(job(stream))
    expect(started.length).toBe(0)
    jobs.open(2)
    expect(started.map(one => one.entry.job.stream)).toEqual([1, 2])
    await started[1]?.end()
    expect(started.map(one => one.entry.job.stream)).toEqual([1, 2, 3])
  })

  test('the queue has an end', () => {
    const { jobs } = table()
    for (let stream = 0; stream < jobsWaitingMax; stream++) expect(jobs.add(job(stream))).toBe(true)
    expect(jobs.add(job(9_999))).toBe(false)
  })

  test('cancelling marks a running job, drops a waiting one and ignores an unknown one', async () => {
    const { jobs, started } = table()
    jobs.open(1)
    for (const stream of [1, 2, 3]) jobs.add(job(stream))
    jobs.cancel(1, 1)
    jobs.cancel(2, 1)
    jobs.cancel(3, 2)
    jobs.cancel(77, 1)
    expect(started[0]?.entry.cancelled).toBe(true)
    await started[0]?.end()
    expect(started.map(one => one.entry.job.stream)).toEqual([1, 3])
    expect(started[1]?.entry.cancelled).toBe(false)
  })

  test('what waits can be taken back when the load failed', () => {
    const { jobs } = table()
    jobs.add(job(5))
    expect(jobs.takeWaiting().map(one => one.stream)).toEqual([5])
    expect(jobs.takeWaiting()).toEqual([])
  })
})

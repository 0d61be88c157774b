import { describe, expect, test } from 'bun:test'
import { jobId } from '../../test/support/scheduler-pool.ts'
import { waiting } from '../../test/support/waiting.ts'
import { FairQueue, waitingLengthMax, waitingTimeMaxMs } from './fair-queue.ts'

/** @returns how many of the tenant's requests get in */
function pushIn(queue: FairQueue, tenant: string, requests: number): number {
  let entered = 0
  for (let i = 0; i < requests; i++)
    if (queue.enter(waiting(`${tenant}${i}`, { tenant }))) entered++
  return entered
}

describe('bounds', () => {
  test('one tenant cannot fill the line, however much it sends; others still get in', () => {
    const queue = new FairQueue()
    expect(pushIn(queue, 'greedy', 5_000)).toBe(waitingLengthMax / 2)
    expect(pushIn(queue, 'modest', 1)).toBe(1)
    expect(pushIn(queue, 'greedy too', 5_000)).toBe(250)
    expect(pushIn(queue, 'another modest', 3)).toBe(3)
  })

  test('all together are bounded, interrupted ones excepted', () => {
    const queue = new FairQueue()
    for (let i = 0; i < waitingLengthMax; i++) pushIn(queue, `tenant-${i}`, 1)
    expect(queue.length).toBe(waitingLengthMax)
    expect(pushIn(queue, 'one too many', 1)).toBe(0)
    queue.enterInterrupted(waiting('interrupted'))
    expect(queue.length).toBe(waitingLengthMax + 1)
  })

  test('who has waited too long is known, longest first', () => {
    const queue = new FairQueue()
    for (const since of [0, 10, 20]) queue.enter(waiting(`${since}`, { since }))
    const overdue = queue.overdue(waitingTimeMaxMs + 10).map(({ since }) => since)
    expect(overdue).toEqual([0, 10])
  })

  test('when there is room again is known: after so many starts of one’s own, or of anybody', () => {
    const queue = new FairQueue()
    pushIn(queue, 'greedy', 5_000)
    pushIn(queue, 'modest', 20)
    expect(queue.startsUntilRoom('modest')).toEqual({ own: 0, any: 0 })
    const { own, any } = queue.startsUntilRoom('greedy')
    expect([own, any]).toEqual([11, 21])
    for (let i = 0; i < own; i++) {
      expect(pushIn(queue, 'greedy', 1)).toBe(0)
      queue.leave(jobId(`greedy${i}`))
    }
    expect(pushIn(queue, 'greedy', 1)).toBe(1)
  })
})

describe('places', () => {
  test('are told when they change, and only then', () => {
    const queue = new FairQueue()
    for (const job of ['1', '2', '3']) queue.enter(waiting(job))
    expect(queue.placeOfNew(waiting('3'))).toBe(3)
    expect(queue.news()).toEqual([
      {
        model: 'tiny',
        places: [
          { jobId: jobId('1'), position: 1 },
          { jobId: jobId('2'), position: 2 },
        ],
      },
    ])
    expect(queue.news()).toEqual([])
    queue.leave(jobId('1'))
    expect(queue.news()[0]?.places).toEqual([
      { jobId: jobId('2'), position: 1 },
      { jobId: jobId('3'), position: 2 },
    ])
  })

  test('of one model say nothing of another', () => {
    const queue = new FairQueue()
    for (let i = 0; i < 5; i++) queue.enter(waiting(`${i}`))
    const other = waiting('other', { model: 'other' })
    queue.enter(other)
    expect(queue.placeOfNew(other)).toBe(1)
    expect(queue.models()).toEqual(['tiny', 'other'])
    queue.leave(other.jobId)
    expect(queue.models()).toEqual(['tiny'])
  })
})

test('nothing is left of models that nobody waits for or uses', () => {
  const queue = new FairQueue()
  for (let i = 0; i < 300; i++) {
    const one = waiting(`${i}`, { model: `model-${i}` })
    queue.enter(one)
    queue.begin(one)
    queue.ended(one.model, one, 70)
  }
  expect(queue.linesHeld).toBe(0)
})

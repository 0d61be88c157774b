import { describe, expect, test } from 'bun:test'
import { adminEvent } from '../../../test/support/admin-events.ts'
import {
  eventsPerPostMax,
  eventsWaitingMax,
  postGapMs,
  retryDelayMaxMs,
  triesMax,
  WebhookQueue,
  type QueueCommand,
} from './webhook-queue.ts'

const event = (text = 'x') => ({ type: 'event', event: adminEvent({ text }) }) as const
const taken = { type: 'posted', problem: null } as const
const refused = { type: 'posted', problem: 'it answered 503' } as const
const waited = { type: 'waited' } as const

const batchOf = (commands: readonly QueueCommand[]) => {
  const [command] = commands
  if (command?.type !== 'post') throw new Error(`no post but ${command?.type}`)
  return command.batch
}

test('the first event goes at once; those that come meanwhile go together, a moment after it was taken', () => {
  const queue = new WebhookQueue()
  expect(batchOf(queue.handle(event('first'))).events).toMatchObject([{ text: 'first' }])
  for (const text of ['a', 'b', 'c']) expect(queue.handle(event(text))).toEqual([])
  expect(queue.handle(taken)).toEqual([{ type: 'wait', ms: postGapMs }])
  expect(queue.handle(event('d'))).toEqual([])
  expect(batchOf(queue.handle(waited)).events.map(({ text }) => text)).toEqual(['a', 'b', 'c', 'd'])
  queue.handle(taken)
  expect(queue.handle(waited)).toEqual([])
  expect(batchOf(queue.handle(event('later'))).events).toHaveLength(1)
})

describe('a receiver that does not take a message', () => {
  test('is asked again with the same, after 1, 2, 4 … 60 s, and then given up; the next message follows', () => {
    const queue = new WebhookQueue()
    const batch = batchOf(queue.handle(event('stuck')))
    const pauses: number[] = []
    for (let tries = 1; tries < triesMax; tries++) {
      const [wait] = queue.handle(refused)
      if (wait?.type !== 'wait') throw new Error('it does not wait')
      pauses.push(wait.ms / 1_000)
      expect(queue.handle(waited)).toEqual([{ type: 'post', batch, isNew: false }])
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60])
    expect(Math.max(...pauses) * 1_000).toBe(retryDelayMaxMs)
    queue.handle(event('next'))
    expect(queue.handle(refused)).toEqual([
      { type: 'give_up', events: 1, problem: 'it answered 503' },
      { type: 'wait', ms: postGapMs },
    ])
    expect(batchOf(queue.handle(waited))).toMatchObject({ events: [{ text: 'next' }], dropped: 1 })
  })

  test('costs no more memory than the limit: the oldest are dropped, and their number is told', () => {
    const queue = new WebhookQueue()
    queue.handle(event('first'))
    for (let n = 0; n < eventsWaitingMax + 7; n++) queue.handle(event(`${n}`))
    queue.handle(taken)
    let batch = batchOf(queue.handle(waited))
    expect(batch.dropped).toBe(7)
    expect(batch.events[0]?.text).toBe('7')
    let sent = batch.events.length
    expect(sent).toBe(eventsPerPostMax)
    while (sent < eventsWaitingMax) {
      queue.handle(taken)
      batch = batchOf(queue.handle(waited))
      expect(batch.dropped).toBe(0)
      sent += batch.events.length
    }
    expect(batch.events.at(-1)?.text).toBe(`${eventsWaitingMax + 6}`)
  })
})

test('an answer that nobody waits for changes nothing', () => {
  const queue = new WebhookQueue()
  for (const stray of [taken, refused, waited]) expect(queue.handle(stray)).toEqual([])
})

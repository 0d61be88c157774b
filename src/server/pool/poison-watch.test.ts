import { describe, expect, test } from 'bun:test'
import { chat } from '../../../test/support/scripted-agent.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import { newAgentId } from '../../protocol/ids.ts'
import {
  deathsKeptMax,
  PoisonWatch,
  quarantineMs,
  suspectKeptMs,
  suspectsMax,
  type WorkerDeath,
} from './poison-watch.ts'
import { RequestContent } from './request-content.ts'

const now = 1_000_000
const open = () => new PoisonWatch(new Uint8Array(32))
const a = newAgentId()
const b = newAgentId()
const death = (agentId = a, jobs = 1, at = now): WorkerDeath => ({ agentId, at, jobs })
const saying = (text: string, change: Partial<ChatJob> = {}) =>
  RequestContent.ofChat('tiny', { ...chat, messages: [{ role: 'user', content: text }], ...change })

describe('a request that ended two workers', () => {
  test('is refused, and says when it may be tried again', () => {
    const watch = open()
    expect(watch.workerEnded(saying('x'), death(), now).becamePoison).toBe(false)
    expect(watch.refusal(saying('x'), now)).toBeNull()
    expect(watch.workerEnded(saying('x'), death(b), now).becamePoison).toBe(true)
    expect(watch.refusal(saying('x'), now)).toEqual({
      code: 'request_quarantined',
      message: expect.stringContaining('in 360 min') as string,
    })
    expect(watch.refusal(saying('x'), now + quarantineMs - 1)).not.toBeNull()
    expect(watch.refusal(saying('x'), now + quarantineMs)).toBeNull()
    expect(watch.size).toBe(0)
  })

  test('is known again with another seed, at another time, from another tenant, and nothing else is', () => {
    const watch = open()
    for (const agentId of [a, b]) watch.workerEnded(saying('x'), death(agentId), now)
    const again = saying('x', {
      sampling: { ...chat.sampling, seed: 99 },
      renderTimeMs: 7,
      tenant: 'somebody else',
    })
    expect(watch.refusal(again, now)).not.toBeNull()
    const others = [
      saying('y'),
      saying('x', { sampling: { ...chat.sampling, temperature: 1 } }),
      RequestContent.ofChat('large', { ...chat, messages: [{ role: 'user', content: 'x' }] }),
      RequestContent.ofEmbed('tiny', { kind: 'embedding', inputs: ['x'], normalise: true }),
    ]
    for (const other of others) expect(watch.refusal(other, now)).toBeNull()
  })

  test('is suspected less for each that was in the worker with it', () => {
    const watch = open()
    const becomes = (jobs: number) =>
      watch.workerEnded(saying('crowd'), death(a, jobs), now).becamePoison
    expect([becomes(4), becomes(4), becomes(4), becomes(4), becomes(4)]).toEqual([
      false,
      false,
      false,
      true,
      false,
    ])
    const alone = open()
    alone.workerEnded(saying('x'), death(a, 8), now)
    expect(alone.workerEnded(saying('x'), death(b, 1), now).becamePoison).toBe(true)
  })
})

test('no more deaths of a request are kept than the limit', () => {
  const watch = open()
  const deaths = Array.from({ length: 3 * deathsKeptMax }, () => {
    return watch.workerEnded(saying('crowd'), death(a, 1_000), now).deaths.length
  })
  expect(Math.max(...deaths)).toBe(deathsKeptMax)
})

test('two of the same in one worker died one death', () => {
  const watch = open()
  const once = death(a, 2)
  watch.workerEnded(saying('x'), once, now)
  expect(watch.workerEnded(saying('x'), once, now)).toEqual({ deaths: [once], becamePoison: false })
})

test('a request that completes is cleared', () => {
  const watch = open()
  watch.workerEnded(saying('x'), death(), now)
  watch.completed(saying('x'))
  expect(watch.workerEnded(saying('x'), death(b), now).becamePoison).toBe(false)
})

test('one death is forgotten after a while', () => {
  const watch = open()
  watch.workerEnded(saying('x'), death(), now)
  const later = now + suspectKeptMs
  expect(watch.workerEnded(saying('x'), death(b), later).becamePoison).toBe(false)
})

test('no more requests are remembered than the limit; the oldest goes', () => {
  const watch = open()
  for (const agentId of [a, b]) watch.workerEnded(saying('oldest'), death(agentId), now)
  for (let n = 1; n < suspectsMax; n++) watch.workerEnded(saying(`${n}`), death(), now)
  expect(watch.size).toBe(suspectsMax)
  expect(watch.refusal(saying('oldest'), now)).not.toBeNull()
  watch.workerEnded(saying('one more'), death(), now)
  expect(watch.size).toBe(suspectsMax)
  expect(watch.refusal(saying('oldest'), now)).toBeNull()
})

test('nothing that was asked is kept', () => {
  const watch = open()
  const content = saying('the secret of the prompt')
  watch.workerEnded(content, death(), now)
  expect(Bun.inspect(watch, { depth: 9 })).not.toContain('secret of')
})

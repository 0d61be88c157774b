import { expect, test } from 'bun:test'
import { systemClock } from '../../clock.ts'
import { encodeTokenFrame } from '../../protocol/token-frame.ts'
import { processTimers } from '../timers.ts'
import { chatJob, demoModel, EngineSession } from './engine-harness.ts'
import type { EngineEvent } from './engine.ts'
import { startLlamaEngine } from './llama-engine.ts'
import { createStartWatched } from './watched-engine.ts'

const limits = {
  loadMs: 1_000,
  loadPerMegabyteMs: 0,
  firstTokenMs: 500,
  promptTokenMs: 0,
  gapMs: 100,
  gapFactor: 20,
}
const job = { stream: 1, attempt: 0, chat: chatJob('hi'), continuation: null }

/** An engine that says what the test says, under a clock that moves when the test says so. */
function bench() {
  let now = 0
  let timer: { at: number; fire: () => void } | null = null
  let say: (event: EngineEvent) => void = () => {}
  const heard: EngineEvent[] = []
  let closed = 0
  const start = createStartWatched(
    (_, onEvent) => {
      say = onEvent
      return { pid: 1, run: () => {}, cancel: () => {}, close: async () => void closed++ }
    },
    {
      clock: { now: () => now },
      timers: {
        after(ms, fire) {
          const mine = { at: now + ms, fire }
          timer = mine
          return () => {
            if (timer === mine) timer = null
          }
        },
      },
      limits,
    },
  )
  const engine = start(demoModel, event => heard.push(event))
  const advance = async (to: number) => {
    while (timer !== null && timer.at <= to) {
      const { at, fire } = timer
      timer = null
      now = Math.max(now, at)
      fire()
    }
    now = to
    await new Promise(resolve => setImmediate(resolve))
  }
  return {
    engine,
    heard,
    advance,
    say: (event: EngineEvent) => say(event),
    closed: () => closed,
  }
}
const ready: EngineEvent = { type: 'ready', contextTokens: 64, slots: 1, loadMs: 1 }

test('a worker that says nothing while it loads is ended and told as hung, once', async () => {
  const { heard, advance, closed, say } = bench()
  await advance(1_999)
  expect(closed()).toBe(0)
  await advance(2_000)
  expect([closed(), heard.length]).toEqual([1, 1])
  expect(heard[0]).toMatchObject({ type: 'died', exit: 'hung', error: { code: 'worker_hung' } })
  say(ready)
  await advance(100_000)
  expect(heard).toHaveLength(1)
})

test('one that was only not heard, because the agent itself stood still, has a second look', async () => {
  const { engine, heard, advance, say, closed } = bench()
  say(ready)
  engine.run(job)
  await advance(600)
  say({ type: 'started', stream: 1, attempt: 0, promptTokens: 3, promptSha256: null })
  await advance(1_500)
  expect(closed()).toBe(0)
  say({ type: 'finished', stream: 1, attempt: 0, reason: 'stop', tokens: 0 })
  await advance(100_000)
  expect([closed(), heard.length]).toEqual([0, 3])
})

test('one that stands still in one job is ended, though other jobs begin and end all the time', async () => {
  const { engine, advance, say, closed } = bench()
  say(ready)
  engine.run(job)
  say({ type: 'started', stream: 1, attempt: 0, promptTokens: 3, promptSha256: null })
  const frame = { stream: 1, attempt: 0, choice: 0, index: 0, tokenId: 1, segments: [] }
  say({ type: 'token_frame', bytes: encodeTokenFrame(frame) })
  for (let at = 200; at < 2_000; at += 200) {
    await advance(at)
    engine.run({ ...job, stream: at })
    engine.cancel(at, 0)
  }
  await advance(2_000)
  expect(closed()).toBe(1)
})

test('one that is closed, or has nothing to do, is left alone', async () => {
  const { engine, advance, say, closed, heard } = bench()
  say(ready)
  await advance(100_000)
  engine.run(job)
  engine.cancel(1, 0)
  await advance(200_000)
  engine.run(job)
  await engine.close()
  await advance(300_000)
  expect([closed(), heard.length]).toEqual([1, 1])
})

test('a real worker that stands still in the middle of an answer is gone soon', async () => {
  const start = createStartWatched(startLlamaEngine, {
    clock: systemClock,
    timers: processTimers,
    limits: { ...limits, loadMs: 60_000, firstTokenMs: 60_000, gapMs: 500 },
  })
  const session = new EngineSession(start, demoModel)
  const answer = session.begin(chatJob('Tell me a short story.'))
  await session.until(() => answer.frames.length > 2)
  const pid = session.engine.pid ?? 0
  process.kill(pid, 'SIGSTOP')
  await session.until(() => session.eventOf('died') !== undefined)
  expect(session.eventOf('died')?.error.code).toBe('worker_hung')
  expect(() => process.kill(pid, 0)).toThrow()
}, 60_000)

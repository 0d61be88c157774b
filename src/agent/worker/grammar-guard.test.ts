import { describe, expect, test } from 'bun:test'
import type { Failure } from '../../protocol/errors.ts'
import { chatJob, demoModel, EngineSession } from '../engine/engine-harness.ts'
import { heldUpExit } from '../engine/engine.ts'
import { startLlamaEngine } from '../engine/llama-engine.ts'
import { grammarCosts, GrammarGuard } from './grammar-guard.ts'

/** A guard on a clock and timers of its own; `wait` lets time pass. */
function guarded() {
  let now = 0
  const timers = new Set<{ at: number; callback: () => void }>()
  const stuck: Failure[] = []
  let gaveUp = false
  const guard = new GrammarGuard(error => stuck.push(error), {
    clock: { now: () => now },
    timers: {
      after(ms, callback) {
        const timer = { at: now + ms, callback }
        timers.add(timer)
        return () => timers.delete(timer)
      },
    },
    giveUp: () => {
      gaveUp = true
    },
  })
  const wait = (ms: number) => {
    now += ms
    for (const timer of timers) if (timer.at <= now && timers.delete(timer)) timer.callback()
  }
  return { guard, stuck, wait, timers, gaveUp: () => gaveUp }
}

describe('what a grammar costs the others', () => {
  test('has a bound in the long run: slower tokens use up a budget, then the job ends', async () => {
    const { guard, wait } = guarded()
    const ms = grammarCosts.tokenMs + 50
    const sample = guard.watch(async () => {
      wait(ms)
      return 7
    })
    for (let tokens = 0; tokens < grammarCosts.budgetMs / 50; tokens++)
      expect(await sample()).toBe(7)
    expect(await sample()).toBe(-1)
    expect(guard.fault).toMatchObject({ code: 'invalid_request' })
  })

  test('is not counted while it stays below its share', async () => {
    const { guard, wait, timers } = guarded()
    const sample = guard.watch(async () => {
      wait(grammarCosts.tokenMs)
      return 7
    })
    for (let tokens = 0; tokens < 1_000; tokens++) expect(await sample()).toBe(7)
    expect(guard.fault).toBeNull()
    expect(timers.size).toBe(0)
  })

  test('in one sample ends the job after a time, and the worker after another', async () => {
    const { guard, stuck, wait, gaveUp } = guarded()
    const { promise, resolve } = Promise.withResolvers<number>()
    const drawn = guard.watch(() => promise)()
    wait(grammarCosts.sampleMs - 1)
    expect(stuck).toEqual([])
    wait(1)
    expect(stuck).toMatchObject([{ code: 'invalid_request' }])
    wait(grammarCosts.graceMs - 1)
    expect(gaveUp()).toBe(false)
    wait(1)
    expect(gaveUp()).toBe(true)
    resolve(7)
    await drawn
  })
})

const job = (grammar: string) => chatJob('hello', { constraint: { grammar, asked: {} } })

test('a grammar that comes to a dead end fails its job at once; the slot is free again', async () => {
  const session = new EngineSession(startLlamaEngine, { ...demoModel, slots: 1 })
  try {
    const answer = await session.ask(job('root ::= "x" <[99999999]>'))
    expect(answer.ended).toMatchObject({ type: 'failed', error: { code: 'invalid_request' } })
    expect((await session.ask(chatJob('hello'))).text).toBe('Hello! How can I help you?')
  } finally {
    await session.engine.close()
  }
})

test('a grammar that would take minutes for a token fails its job within seconds, and the others are let go', async () => {
  const session = new EngineSession(startLlamaEngine, demoModel)
  const other = session.begin(chatJob('Tell me a short story.', { maxTokens: 1_000 }))
  await session.until(() => other.tokens > 0)
  const answer = await session.ask(job('root ::= ("a"?){1000} "b"'))
  expect(answer.ended).toMatchObject({ type: 'failed', error: { code: 'invalid_request' } })
  await session.until(() => session.eventOf('died') !== undefined)
  expect(session.eventOf('died')).toMatchObject({
    exit: heldUpExit,
    error: { code: 'model_unloaded' },
  })
}, 60_000)

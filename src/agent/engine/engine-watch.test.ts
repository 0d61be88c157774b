import { expect, test } from 'bun:test'
import { EngineWatch } from './engine-watch.ts'

const limits = {
  loadMs: 1_000,
  loadPerMegabyteMs: 10,
  firstTokenMs: 500,
  promptTokenMs: 2,
  gapMs: 100,
  gapFactor: 20,
}
const model = { contextTokens: 1_000, megabytes: 50 }

function ready(): EngineWatch {
  const watch = new EngineWatch(limits, model, 0)
  watch.loadSign(false, 0)
  return watch
}

test('a load has time for its file, anew with every sign of progress', () => {
  const watch = new EngineWatch(limits, model, 0)
  expect(watch.dueAt).toBe(1_500)
  watch.loadSign(true, 1_400)
  expect(watch.dueAt).toBe(2_900)
  watch.loadSign(false, 2_000)
  expect(watch.dueAt).toBeNull()
})

test('a prompt has time for each of its tokens, the longest there can be until it is counted', () => {
  const watch = ready()
  watch.begin(1, 0)
  expect(watch.dueAt).toBe(500 + 2 * 1_000)
  watch.promptCounted(1, 10, 100)
  expect(watch.dueAt).toBe(100 + 500 + 2 * 10)
  watch.end(1, 200)
  expect(watch.dueAt).toBeNull()
})

test('a token is due after many times the stream’s own median, and never sooner than the least', () => {
  const watch = ready()
  watch.begin(1, 0)
  watch.token(1, 10)
  expect(watch.dueAt).toBe(110)
  for (const at of [20, 30, 40]) watch.token(1, at)
  expect(watch.dueAt).toBe(40 + 20 * 10)
})

test('a stream waits as long as the prompts of others may take, and anew when one is read', () => {
  const watch = ready()
  watch.begin(1, 0)
  watch.token(1, 10)
  watch.begin(2, 20)
  watch.promptCounted(2, 100, 20)
  expect(watch.dueAt).toBe(20 + 500 + 200)
  watch.token(2, 600)
  expect(watch.dueAt).toBe(600 + 100)
})

test('one stream that stands still is noticed beside another that goes on', () => {
  const watch = ready()
  for (const key of [1, 2]) watch.begin(key, 0)
  for (const key of [1, 2]) watch.token(key, 10)
  for (let at = 11; at < 200; at++) watch.token(2, at)
  expect(watch.dueAt).toBe(110)
})

test('the cheap bound is never late: it leaves out how slow a stream is, and nothing else', () => {
  const watch = ready()
  expect(watch.dueAtLeast).toBeNull()
  watch.begin(1, 0)
  expect(watch.dueAtLeast).toBe(watch.dueAt)
  watch.token(1, 10)
  expect(watch.dueAtLeast).toBe(110)
  for (const at of [20, 30, 40]) watch.token(1, at)
  expect(watch.dueAt).toBe(240)
  expect(watch.dueAtLeast).toBe(140)
  watch.begin(2, 50)
  watch.promptCounted(2, 100, 50)
  expect(watch.dueAtLeast).toBe(50 + 700)
})

test('only the youngest gaps count', () => {
  const watch = ready()
  watch.begin(1, 0)
  let at = 10
  watch.token(1, at)
  for (let i = 0; i < 40; i++) watch.token(1, (at += 50))
  expect(watch.dueAt).toBe(at + 20 * 50)
  for (let i = 0; i < 32; i++) watch.token(1, (at += 10))
  expect(watch.dueAt).toBe(at + 20 * 10)
})

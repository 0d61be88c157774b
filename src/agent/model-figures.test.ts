import { expect, test } from 'bun:test'
import { agentLimits } from './agent-limits.ts'
import { ModelFigures } from './model-figures.ts'

/** A job of 100 prompt tokens and 11 answer tokens. */
function runJob(
  figures: ModelFigures,
  key: number,
  { prefillMs = 100, gapMs = 10, cached = 0 } = {},
): void {
  figures.began(key, 1, 'm')
  figures.started(key, 100, cached, 0)
  for (let token = 0; token < 11; token++) figures.token(key, prefillMs + token * gapMs)
  figures.ended(key, true)
}

test('rates are tokens by time, of prompts and of answers apart', () => {
  const figures = new ModelFigures()
  expect(figures.of('m')).toEqual({
    prefill_tokens_per_s: null,
    decode_tokens_per_s: null,
    jobs_finished: 0,
    prompt_tokens: 0,
    cached_tokens: 0,
    answer_tokens: 0,
  })
  runJob(figures, 1)
  expect(figures.of('m')).toEqual({
    prefill_tokens_per_s: 1_000,
    decode_tokens_per_s: 100,
    jobs_finished: 1,
    prompt_tokens: 100,
    cached_tokens: 0,
    answer_tokens: 11,
  })
})

test('tokens that a slot still knew are counted, and no work', () => {
  const figures = new ModelFigures()
  runJob(figures, 1, { cached: 90 })
  expect(figures.of('m')).toMatchObject({ prefill_tokens_per_s: 100, cached_tokens: 90 })
})

test('the newest jobs count most, and jobs of another model not at all', () => {
  const figures = new ModelFigures()
  for (let job = 0; job < 50; job++) runJob(figures, job, { gapMs: 100 })
  for (let job = 0; job < 50; job++) runJob(figures, job, { gapMs: 10 })
  expect(figures.of('m').decode_tokens_per_s).toBeGreaterThan(90)
  expect(figures.of('other').decode_tokens_per_s).toBeNull()
})

test('a job that ended before its first token has no rate and is not finished', () => {
  const figures = new ModelFigures()
  figures.began(1, 1, 'm')
  figures.started(1, 100, 0, 0)
  figures.ended(1, false)
  figures.token(1, 5)
  expect(figures.of('m')).toMatchObject({
    prefill_tokens_per_s: null,
    jobs_finished: 0,
    prompt_tokens: 100,
  })
})

test('a job whose engine is gone counts as far as it came, and is forgotten; so are models heard of longest ago', () => {
  const figures = new ModelFigures()
  figures.began(1, 7, 'm')
  figures.started(1, 100, 0, 0)
  figures.engineGone(7)
  figures.token(1, 5)
  expect(figures.of('m')).toMatchObject({ jobs_finished: 0, prompt_tokens: 100, answer_tokens: 0 })
  for (let model = 0; model < agentLimits.modelFiguresMax; model++) {
    figures.began(2, 8, `model-${model}`)
    figures.ended(2, true)
  }
  expect(figures.of('m').prompt_tokens).toBe(0)
  expect(figures.of('model-1').jobs_finished).toBe(1)
})

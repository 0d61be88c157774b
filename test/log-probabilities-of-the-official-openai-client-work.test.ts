import { afterAll, beforeAll, expect, test } from 'bun:test'
import type OpenAI from 'openai'
import { type Cluster, demoModel } from './support/cluster.ts'
import { poolWithClient } from './support/official-client.ts'

// The official client against the real thing: server, agent, llama.cpp worker, demo model.

let cluster: Cluster
let openai: OpenAI

beforeAll(async () => {
  ;({ cluster, openai } = await poolWithClient())
}, 60_000)
afterAll(() => cluster.close())

const story = {
  model: demoModel,
  messages: [{ role: 'user' as const, content: 'Tell me a short story.' }],
  seed: 11,
  max_completion_tokens: 40,
}
type TokenLogprob = OpenAI.ChatCompletionTokenLogprob

const textOf = (told: readonly TokenLogprob[]) =>
  Buffer.concat(told.map(({ bytes }) => Buffer.from(bytes ?? []))).toString()

async function streamed(body: OpenAI.ChatCompletionCreateParamsNonStreaming) {
  const stream = await openai.chat.completions.create({ ...body, stream: true })
  const told: TokenLogprob[] = []
  let text = ''
  for await (const { choices } of stream) {
    text += choices[0]?.delta.content ?? ''
    const here = choices[0]?.logprobs?.content ?? []
    told.push(...here)
    if (here.length > 0) expect(textOf(told)).toStartWith(text)
  }
  return { told, text }
}

test('each token of the answer has its probability and the likeliest others, streamed as well', async () => {
  const body = { ...story, logprobs: true, top_logprobs: 4 }
  const { choices, usage } = await openai.chat.completions.create(body)
  const told = choices[0]?.logprobs?.content ?? []
  expect(told.length).toBe(usage?.completion_tokens ?? 0)
  expect(textOf(told)).toBe(choices[0]?.message.content ?? '')
  for (const { logprob, top_logprobs: others } of told) {
    expect(others.length).toBe(4)
    expect(others[0]?.logprob ?? 1).toBeLessThanOrEqual(0)
    expect(logprob).toBeLessThanOrEqual(others[0]?.logprob ?? -Infinity)
  }
  expect(await streamed(body)).toEqual({ told, text: choices[0]?.message.content ?? '' })
})

test('a stop string is neither in the answer nor among its tokens, also where it lies across several', async () => {
  const whole = await openai.chat.completions.create(story)
  const text = whole.choices[0]?.message.content ?? ''
  const stop = text.slice(20, 29)
  const body = { ...story, stop, logprobs: true }
  const { choices } = await openai.chat.completions.create(body)
  const told = choices[0]?.logprobs?.content ?? []
  expect(choices[0]?.message.content).toBe(text.slice(0, text.indexOf(stop)))
  expect(choices[0]?.finish_reason).toBe('stop')
  // The token in which the stop string begins may be the answer's as well.
  const last = told.at(-1)?.token.length ?? 0
  expect(textOf(told).length - text.indexOf(stop)).toBeLessThan(Math.max(1, last))
  expect(await streamed(body)).toEqual({ told, text: choices[0]?.message.content ?? '' })
})

test('a bias forces the token that the model found least likely', async () => {
  const free = await openai.chat.completions.create({ ...story, logprobs: true })
  expect(free.choices[0]?.logprobs?.content?.[0]?.logprob).toBeGreaterThan(-10)
  const biased = { ...story, max_completion_tokens: 3, logit_bias: { 700: 100 }, logprobs: true }
  const { choices } = await openai.chat.completions.create(biased)
  const told = choices[0]?.logprobs?.content ?? []
  expect(new Set(told.map(({ token }) => token)).size).toBe(1)
  expect(told.length).toBe(3)
  expect(told[0]?.logprob ?? 0).toBeLessThan(-5)
})

test('nobody who does not ask is told, and too many alternatives are refused with their range', async () => {
  const { choices } = await openai.chat.completions.create(story)
  expect(choices[0]?.logprobs).toBeNull()
  const refused = openai.chat.completions.create({ ...story, logprobs: true, top_logprobs: 21 })
  await expect(Promise.resolve(refused)).rejects.toMatchObject({
    status: 400,
    param: 'top_logprobs',
    message: expect.stringContaining('from 0 to 20'),
  })
})

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
  temperature: 1.2,
  seed: 11,
  max_completion_tokens: 30,
}

test('n answers come, each another; the first is the one that comes alone, and the prompt counts once', async () => {
  const alone = await openai.chat.completions.create(story)
  // More than the agent has slots: some wait.
  const { choices, usage } = await openai.chat.completions.create({ ...story, n: 6 })
  expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
  const texts = choices.map(({ message }) => message.content)
  expect(new Set(texts).size).toBe(6)
  expect(texts[0]).toBe(alone.choices[0]?.message.content ?? '')
  expect(usage?.prompt_tokens).toBe(alone.usage?.prompt_tokens ?? 0)
  expect(usage?.completion_tokens).toBeGreaterThan(alone.usage?.completion_tokens ?? 0)
})

test('streamed they are the same, and the client’s own helper puts them together', async () => {
  const body = { ...story, n: 3, logprobs: true }
  const whole = await openai.chat.completions.create(body)
  const streamed = await openai.chat.completions.stream(body).finalChatCompletion()
  const told = ({ choices }: OpenAI.ChatCompletion) =>
    choices.map(({ index, message, logprobs, finish_reason: reason }) => ({
      index,
      text: message.content,
      tokens: logprobs?.content?.map(({ token }) => token),
      reason,
    }))
  const byIndex = told(streamed).toSorted((a, b) => a.index - b.index)
  expect(byIndex).toEqual(told(whole))
})

test('more than eight are refused with the range', async () => {
  const refused = openai.chat.completions.create({ ...story, n: 9 })
  await expect(Promise.resolve(refused)).rejects.toMatchObject({
    status: 400,
    param: 'n',
    message: expect.stringContaining('from 1 to 8'),
  })
})

import { afterAll, beforeAll, expect, test } from 'bun:test'
import type OpenAI from 'openai'
import { Cluster, demoModel } from './support/cluster.ts'
import { officialClient } from './support/official-client.ts'
import { childrenOf } from './support/process-end.ts'
import type { Program } from './support/program.ts'

let cluster: Cluster
let agents: readonly Program[]

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
  agents = [await cluster.addAgent('first'), await cluster.addAgent('second')]
}, 60_000)
afterAll(() => cluster.close())

test('kill -9 of the agent in the middle of three: each goes on, with its tokens’ probabilities', async () => {
  const openai = officialClient(cluster, cluster.adminKey)
  const request = {
    model: demoModel,
    temperature: 0.9,
    frequency_penalty: 0.4,
    seed: 7,
    n: 3,
    logprobs: true,
    top_logprobs: 2,
    messages: [{ role: 'user' as const, content: 'Tell me a short story.' }],
  }
  const { choices, usage } = await openai.chat.completions.create(request)
  const busy = agents.find(agent => childrenOf(agent.pid).length > 0)
  if (busy === undefined) throw new Error('no agent has a worker')
  const stream = await openai.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  })
  const texts = choices.map(() => '')
  const told: OpenAI.ChatCompletionTokenLogprob[][] = choices.map(() => [])
  let killed = false
  let streamedUsage: OpenAI.CompletionUsage | null | undefined
  for await (const chunk of stream) {
    streamedUsage = chunk.usage ?? streamedUsage
    for (const { index, delta, logprobs } of chunk.choices) {
      texts[index] += delta.content ?? ''
      told[index]?.push(...(logprobs?.content ?? []))
    }
    if (!killed && texts.every(text => text.length >= 20)) {
      killed = true
      await busy.kill()
    }
  }
  expect(killed).toBe(true)
  expect(texts).toEqual(choices.map(({ message }) => message.content ?? ''))
  expect(told).toEqual(choices.map(({ logprobs }) => logprobs?.content ?? []))
  expect(streamedUsage?.completion_tokens).toBe(usage?.completion_tokens ?? 0)
}, 60_000)

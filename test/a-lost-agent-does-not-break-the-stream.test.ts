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

test('kill -9 of the agent in mid-answer: another one continues, token for token', async () => {
  const openai = officialClient(cluster, cluster.adminKey)
  const request = {
    model: demoModel,
    temperature: 0.7,
    seed: 7,
    messages: [{ role: 'user' as const, content: 'Tell me a short story.' }],
  }
  const undisturbed = await openai.chat.completions.create(request)
  const busy = agents.find(agent => childrenOf(agent.pid).length > 0)
  const stream = await openai.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  })
  let text = ''
  let usage: OpenAI.CompletionUsage | null | undefined
  for await (const chunk of stream) {
    const before = text.length
    text += chunk.choices[0]?.delta.content ?? ''
    usage = chunk.usage ?? usage
    if (before < 40 && text.length >= 40) await busy?.kill()
  }
  expect(text).toBe(undisturbed.choices[0]?.message.content ?? '')
  expect(usage).toEqual(undisturbed.usage)
}, 60_000)

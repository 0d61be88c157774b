import { afterAll, beforeAll, expect, test } from 'bun:test'
import type OpenAI from 'openai'
import { Cluster, demoModel } from './support/cluster.ts'
import { clientOf } from './support/official-client.ts'
import type { Program } from './support/program.ts'

let cluster: Cluster
let agent: Program

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel({ slots: 2 })
  agent = await cluster.addAgent('laptop')
  await cluster.ask('hello')
}, 60_000)
afterAll(() => cluster.close())

const months = async (client: OpenAI): Promise<AsyncIterable<OpenAI.ChatCompletionChunk>> =>
  await client.chat.completions.create({
    model: demoModel,
    temperature: 0,
    messages: [{ role: 'user', content: 'Name the months.' }],
    stream: true,
  })

test('a key with one request does not wait for the fifty that another key sent before', async () => {
  const [greedy, modest] = [await clientOf(cluster), await clientOf(cluster)]
  const ended: string[] = []
  let opened = 0
  const greedyWait = Promise.withResolvers<void>()
  const modestWaits = Promise.withResolvers<void>()
  const ask = async (client: OpenAI, whose: string) => {
    const stream = await months(client)
    opened++
    if (opened === 48) greedyWait.resolve()
    if (opened === 49) modestWaits.resolve()
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).toStartWith('January, February')
    ended.push(whose)
  }
  // Nothing is answered before all have been sent. Two are at work, and a stream that waits is open at once.
  process.kill(agent.pid, 'SIGSTOP')
  const greedyOnes = Array.from({ length: 50 }, () => ask(greedy, 'greedy'))
  await greedyWait.promise
  const modestOne = ask(modest, 'modest')
  await modestWaits.promise
  process.kill(agent.pid, 'SIGCONT')
  await Promise.all([...greedyOnes, modestOne])
  expect(ended).toHaveLength(51)
  // Two were at work before it, and its neighbour may be a little faster.
  expect(ended.indexOf('modest')).toBeLessThanOrEqual(5)
}, 60_000)

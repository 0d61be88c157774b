import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Cluster, demoModel } from './support/cluster.ts'
import { officialClient } from './support/official-client.ts'
import { childrenOf } from './support/process-end.ts'
import type { Program } from './support/program.ts'

let cluster: Cluster
let agent: Program

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
  agent = await cluster.addAgent('laptop')
  await cluster.ask('hello')
}, 60_000)
afterAll(() => cluster.close())

test('kill -9 of the worker in mid-answer: the agent says so, the stream goes on, and so does the next request', async () => {
  const story = {
    model: demoModel,
    temperature: 0.7,
    seed: 11,
    messages: [{ role: 'user' as const, content: 'Tell me a short story.' }],
  }
  const openai = officialClient(cluster, cluster.adminKey)
  const undisturbed = await openai.chat.completions.create(story)
  const [worker = 0] = childrenOf(agent.pid)
  const said = agent.nextLine(line => line.includes('worker') && line.includes('SIGKILL'))
  const stream = await openai.chat.completions.create({ ...story, stream: true })
  let text = ''
  for await (const chunk of stream) {
    const before = text
    text += chunk.choices[0]?.delta.content ?? ''
    if (before === '' && text !== '') process.kill(worker, 'SIGKILL')
  }
  await said
  expect(text).toBe(undisturbed.choices[0]?.message.content ?? '')

  expect(await cluster.ask('What is a GPU pool?')).toContain('A GPU pool joins')
  const [next] = childrenOf(agent.pid)
  expect(next).toBeGreaterThan(0)
  expect(next).not.toBe(worker)
})

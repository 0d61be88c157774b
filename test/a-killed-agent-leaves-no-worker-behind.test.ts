import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Cluster, demoModel } from './support/cluster.ts'
import { childrenOf, endedWithin } from './support/process-end.ts'

let cluster: Cluster

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
}, 60_000)
afterAll(() => cluster.close())

test('kill -9 of an idle agent: its worker is gone within a second', async () => {
  const agent = await cluster.addAgent('idle')
  await cluster.ask('hello')
  const [worker = 0] = childrenOf(agent.pid)
  expect(worker).toBeGreaterThan(0)
  await agent.kill()
  expect(endedWithin(worker, 1_000)).toBe(true)
})

test('kill -9 of an agent in mid-answer: its worker is gone within a second', async () => {
  const agent = await cluster.addAgent('busy')
  await cluster.ask('hello')
  const [worker = 0] = childrenOf(agent.pid)
  const response = await cluster.request('POST', '/v1/chat/completions', {
    model: demoModel,
    stream: true,
    messages: [{ role: 'user', content: 'Tell me a short story.' }],
  })
  await response.body?.getReader().read()
  await agent.kill()
  expect(endedWithin(worker, 1_000)).toBe(true)
})

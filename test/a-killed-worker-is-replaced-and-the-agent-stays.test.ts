import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Cluster, demoModel } from './support/cluster.ts'
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

test('kill -9 of the worker in mid-answer: the agent says so, and the next request is answered', async () => {
  const [worker = 0] = childrenOf(agent.pid)
  const response = await cluster.request('POST', '/v1/chat/completions', {
    model: demoModel,
    stream: true,
    messages: [{ role: 'user', content: 'Tell me a short story.' }],
  })
  const reader = response.body?.getReader()
  await reader?.read()
  const said = agent.nextLine(line => line.includes('worker') && line.includes('SIGKILL'))
  process.kill(worker, 'SIGKILL')
  await said
  let rest = ''
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read())
    rest += new TextDecoder().decode(part.value)
  expect(rest).toContain('"error"')
  expect(rest).not.toContain('[DONE]')

  expect(await cluster.ask('What is a GPU pool?')).toContain('A GPU pool joins')
  const [next] = childrenOf(agent.pid)
  expect(next).toBeGreaterThan(0)
  expect(next).not.toBe(worker)
})

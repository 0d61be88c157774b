import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Cluster } from './support/cluster.ts'
import { event, type Program } from './support/program.ts'

let cluster: Cluster
let agents: readonly Program[]

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
  agents = [await cluster.addAgent('laptop'), await cluster.addAgent('desktop')]
}, 60_000)
afterAll(() => cluster.close())

type Agents = { data: { id: string; name: string; connected: boolean }[] }
type Usage = { data: { requests: number; completionTokens: number }[] }

test('kill -9 of the server: agents return by themselves; agents, keys, models and usage are still known', async () => {
  const { key } = await cluster.admin<{ key: string }>('POST', '/admin/keys', {
    name: 'client',
    scopes: ['infer'],
  })
  expect(await cluster.ask('hello')).toBe('Hello! How can I help you?')
  const agentsBefore = await cluster.admin<Agents>('GET', '/admin/agents')
  const usageBefore = await cluster.admin<Usage>('GET', '/admin/usage')
  expect(usageBefore.data.map(row => row.requests)).toEqual([1])

  const back = agents.map(agent => agent.nextLine(event('online')))
  await cluster.server.kill()
  await cluster.restartServer()
  await Promise.all(back)

  const names = (list: Agents) => list.data.map(({ id, name }) => `${name} ${id}`).sort()
  const agentsAfter = await cluster.admin<Agents>('GET', '/admin/agents')
  expect(names(agentsAfter)).toEqual(names(agentsBefore))
  expect(agentsAfter.data.map(agent => agent.connected)).toEqual([true, true])
  expect(await cluster.admin<Usage>('GET', '/admin/usage')).toEqual(usageBefore)
  const adminKey = cluster.adminKey
  cluster.adminKey = key
  expect(await cluster.ask('hello')).toBe('Hello! How can I help you?')
  cluster.adminKey = adminKey
}, 60_000)

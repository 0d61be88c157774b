import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Cluster, demoModel } from './support/cluster.ts'
import type { Program } from './support/program.ts'

let cluster: Cluster

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
}, 60_000)
afterAll(() => cluster.close())

const loadOrder = `/admin/models/${demoModel}/load`
const isLoaded = (line: string) => line.includes('worker started')

test('a model ordered for a machine that is away is loaded there when it is back, after a restart of the server', async () => {
  const env = await cluster.joinAgent('laptop')
  const { data } = await cluster.admin<{ data: { id: string }[] }>('GET', '/admin/agents')
  const agentId = data[0]?.id ?? ''
  expect(await cluster.admin<object>('POST', loadOrder, { agentId })).toEqual({
    agents: 0,
    later: 1,
  })
  await cluster.server.kill()
  await cluster.restartServer()
  const first: Program = await cluster.runAgent('laptop', env)
  await first.line(isLoaded)
  // Nobody asks for it, and the machine comes back without it.
  await first.stop()
  const second = await cluster.runAgent('laptop', env)
  await second.line(isLoaded)
  expect(second.output).toContain(demoModel)
}, 60_000)

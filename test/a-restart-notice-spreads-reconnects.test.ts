import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Cluster } from './support/cluster.ts'
import { event } from './support/program.ts'

let cluster: Cluster

beforeAll(async () => {
  cluster = await Cluster.start()
}, 60_000)
afterAll(() => cluster.close(), 30_000)

test('a server that stops in order tells its agents, and each comes back at a moment of its own', async () => {
  const agents = [await cluster.addAgent('one'), await cluster.addAgent('two')]
  const goodbyes = Promise.all(
    agents.map(agent => agent.nextLine(line => line.includes('the server restarts'))),
  )
  const waits = Promise.all(
    agents.map(agent => agent.nextLine(line => line.includes('not connected; trying again'))),
  )
  const returns = Promise.all(agents.map(agent => agent.nextLine(event('online'))))
  expect(await cluster.server.stop()).toBe(0)
  await goodbyes
  const seconds = (await waits).map(line => Number(/"seconds":([\d.]+)/.exec(line)?.[1]))
  for (const each of seconds) {
    expect(each).toBeGreaterThanOrEqual(0.5)
    expect(each).toBeLessThanOrEqual(5)
  }
  await cluster.restartServer()
  await returns
}, 60_000)

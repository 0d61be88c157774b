import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { AgentDetails, AgentView } from '../src/server/admin/agent-view.ts'
import { Cluster, demoModel } from './support/cluster.ts'
import { childrenOf } from './support/process-end.ts'
import type { Program } from './support/program.ts'

let cluster: Cluster
const agents = new Map<string, Program>()

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
  for (const name of ['den', 'attic', 'garage']) agents.set(name, await cluster.addAgent(name))
  await cluster.admin('POST', `/admin/models/${demoModel}/load`)
}, 90_000)
afterAll(() => cluster.close())

const listed = async (): Promise<readonly AgentView[]> =>
  (await cluster.admin<{ data: readonly AgentView[] }>('GET', '/admin/agents')).data

/** Asks until a machine is as wanted. @returns it */
async function agentThat(isWanted: (agent: AgentView) => boolean): Promise<AgentView> {
  for (;;) {
    const found = (await listed()).find(isWanted)
    if (found !== undefined) return found
  }
}

const isReady = ({ instances }: AgentView): boolean =>
  instances.some(({ status }) => status.state === 'ready')
const workerOf = (name: string): number => {
  const [worker] = childrenOf(agents.get(name)?.pid ?? 0)
  if (worker === undefined) throw new Error(`${name} has no worker`)
  return worker
}
const ask = () =>
  cluster.request('POST', '/v1/chat/completions', {
    model: demoModel,
    messages: [{ role: 'user', content: 'Tell me a short story.' }],
  })

test('a request that ended two workers is given to no third machine, whoever sends it again, and costs nobody', async () => {
  for (const name of agents.keys()) await agentThat(agent => agent.name === name && isReady(agent))
  const before = await listed()
  // Whoever gets the request stands still until its worker is killed, as a request that crashes llama.cpp would.
  const workers = new Map([...agents.keys()].map(name => [name, workerOf(name)] as const))
  for (const worker of workers.values()) process.kill(worker, 'SIGSTOP')
  const answer = ask()
  const victims = new Set<string>()
  while (victims.size < 2) {
    const { name } = await agentThat(agent => agent.activeRequests > 0 && !victims.has(agent.name))
    victims.add(name)
    process.kill(workerOf(name), 'SIGKILL')
  }
  const failed = await answer
  expect(failed.status).toBe(422)
  expect(await failed.json()).toMatchObject({ error: { code: 'request_quarantined' } })
  const third = [...agents.keys()].find(name => !victims.has(name)) ?? ''
  expect(workerOf(third)).toBe(workers.get(third) ?? 0)
  process.kill(workerOf(third), 'SIGCONT')

  const again = await ask()
  expect(again.status).toBe(422)
  // Anything else is answered as ever.
  expect(await cluster.ask('hello')).not.toBe('')
  for (const { id, reliability } of before) {
    const now = await cluster.admin<AgentDetails>('GET', `/admin/agents/${id}`)
    expect(now.reliability).toBeGreaterThanOrEqual(reliability - 0.001)
  }
  expect(cluster.server.output).toContain('request quarantined')
  expect(cluster.server.output).not.toContain('short story')
}, 90_000)

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Cluster, demoModel } from './support/cluster.ts'
import { childrenOf } from './support/process-end.ts'
import { Program } from './support/program.ts'

let cluster: Cluster
let agent: Program

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
  agent = await cluster.addAgent('laptop')
  await cluster.ask('hello')
}, 60_000)
afterAll(() => cluster.close())

const canary = 'canary-7f3a'
const written = {
  model: demoModel,
  messages: [{ role: 'user', content: `${canary} hello` }],
  stop: [`${canary}-stop`],
}
const tools = [
  {
    type: 'function',
    function: {
      name: 'f',
      description: canary,
      parameters: { properties: { x: { const: canary } } },
    },
  },
]

/** llama.cpp prints the whole text of the grammars; the last one ends in the middle of the answer. */
const refused = [
  { grammar: `root ::= "${canary}" nothing` },
  { grammar: `root ::= "${canary}` },
  { grammar: `root ::= "${canary}"{1000000}` },
  { grammar: `root ::= "${canary}" <[99999999]>` },
  { tools, tool_choice: 'required', logit_bias: { '99999999': 1 } },
]

test('prompts, grammars, tools and stop strings are in no error, no log, no status and no metric, also when the worker dies', async () => {
  for (const form of refused) {
    const answer = await cluster.request('POST', '/v1/chat/completions', { ...written, ...form })
    expect(answer.status).toBe(400)
    expect(await answer.text()).not.toContain(canary)
  }
  const died = agent.nextLine(line => line.includes('worker') && line.includes('SIGABRT'))
  const form = { grammar: `root ::= "${canary}" [a-z ]{900}`, tools: undefined }
  const answer = cluster.request('POST', '/v1/chat/completions', { ...written, ...form })
  const [worker = 0] = childrenOf(agent.pid)
  process.kill(worker, 'SIGABRT')
  await died
  await (await answer).text()
  const { data } = await cluster.admin<{ data: { id: string }[] }>('GET', '/admin/agents')
  const shown = await Promise.all(
    ['/metrics', '/admin/events', `/admin/agents/${data[0]?.id}`, '/admin/usage'].map(async path =>
      (await cluster.request('GET', path)).text(),
    ),
  )
  const status = new Program('status', ['src/agent/main.ts', 'status', '--json'], {
    GPUPOOL_AGENT_DIR: `${cluster.folder}/laptop`,
  })
  await status.line(line => line.includes(demoModel))
  for (const text of [agent.output, cluster.server.output, status.output, ...shown])
    expect(text).not.toContain(canary)
}, 60_000)

import { afterAll, beforeAll, expect, test } from 'bun:test'
import type OpenAI from 'openai'
import { Cluster } from './support/cluster.ts'
import { officialClient } from './support/official-client.ts'
import { content, eventStream, FakeOpenAiServer, usage } from './support/fake-openai-server.ts'
import { Program } from './support/program.ts'

// The official client, a real server and a real agent; the engine is a server that pretends, on the agent's machine.

let cluster: Cluster
let engine: FakeOpenAiServer
let agent: Program
let openai: OpenAI

beforeAll(async () => {
  engine = new FakeOpenAiServer({ kind: 'ollama', apiKey: 'secret' })
  engine.models = ['llama3.1:8b']
  cluster = await Cluster.start()
  agent = await cluster.addAgent('laptop', {
    GPUPOOL_AGENT_ENGINE_URL: engine.url,
    GPUPOOL_AGENT_ENGINE_KEY: 'secret',
    GPUPOOL_AGENT_ENGINE_SLOTS: '2',
  })
  await cluster.admin('POST', '/admin/models', { name: 'llama', source: 'external:llama3.1:8b' })
  const { key } = await cluster.admin<{ key: string }>('POST', '/admin/keys', {
    name: 'test',
    scopes: ['infer'],
  })
  openai = officialClient(cluster, key)
}, 60_000)
afterAll(async () => {
  await cluster.close()
  await engine.stop()
})

const question = {
  model: 'llama',
  messages: [{ role: 'user' as const, content: 'hello' }],
}

test('the official client gets its answer, with usage, and a tool call', async () => {
  const completion = await openai.chat.completions.create(question)
  expect(completion.choices[0]?.message.content).toBe('Hello! How can I help you?')
  expect(completion.usage).toMatchObject({ completion_tokens: 6, prompt_tokens: 9 })
  const called = await openai.chat.completions.create({
    ...question,
    messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
    tools: [{ type: 'function', function: { name: 'get_current_weather', parameters: {} } }],
  })
  expect(called.choices[0]).toMatchObject({
    finish_reason: 'tool_calls',
    message: {
      tool_calls: [{ function: { name: 'get_current_weather', arguments: '{"city":"Paris"}' } }],
    },
  })
})

test('the operator and the owner are shown what serves, and that it is unsandboxed', async () => {
  type Agents = { data: { id: string; externalModels: unknown; instances: unknown }[] }
  const { data } = await cluster.admin<Agents>('GET', '/admin/agents')
  expect(data).toMatchObject([
    {
      externalModels: [{ modelId: 'llama3.1:8b', engine: 'ollama', contextTokens: null }],
      instances: [{ model: 'llama', status: { state: 'ready', slots: 2 } }],
    },
  ])
  const status = new Program('status', ['src/agent/main.ts', 'status'], {
    GPUPOOL_AGENT_DIR: `${cluster.folder}/laptop`,
  })
  expect(await status.exited).toBe(0)
  expect(status.output).toContain(`${engine.url} serves 1 model; your own, not sandboxed`)
})

/** The next answer gives two words and then nothing, until the engine is stopped. */
function hangInMidAnswer(): void {
  engine.answer = () => eventStream([usage(9), content('Once'), content(' upon')], 'hang')
}

test('an engine that dies in mid-answer ends the stream with a typed error and what was used', async () => {
  hangInMidAnswer()
  const response = await fetch(`${cluster.ready.apiUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${cluster.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...question, stream: true, stream_options: { include_usage: true } }),
  })
  let text = ''
  const decoder = new TextDecoder()
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true })
    if (text.includes(' upon') && engine.answer !== null) {
      engine.answer = null
      await engine.stop()
    }
  }
  expect(text).toContain('"code":"worker_died"')
  const ended = await cluster.server.line(line => line.includes('"errorCode":"worker_died"'))
  expect(JSON.parse(ended)).toMatchObject({ promptTokens: 9, completionTokens: 2, attempts: 1 })
}, 30_000)

test('while it is away a request is refused with the reason, and it serves again when it is back', async () => {
  await cluster.server.line(line => line.includes("its owner's engines serve: none"))
  const refusal = await openai.chat.completions.create(question).then(
    () => null,
    (error: unknown) => error,
  )
  expect(refusal).toMatchObject({ status: 503, code: 'no_capable_agent' })
  const back = cluster.server.nextLine(line => line.includes('engines serve: llama3.1:8b'))
  engine = new FakeOpenAiServer({ kind: 'ollama', apiKey: 'secret', port: engine.port })
  engine.models = ['llama3.1:8b']
  await back
  const completion = await openai.chat.completions.create(question)
  expect(completion.choices[0]?.message.content).toBe('Hello! How can I help you?')
}, 60_000)

test('an engine on another machine is refused before anything runs', async () => {
  const refused = new Program('refused', ['src/agent/main.ts', 'run'], {
    GPUPOOL_AGENT_DIR: `${cluster.folder}/elsewhere`,
    GPUPOOL_AGENT_ENGINE_URL: 'http://192.168.1.5:11434/v1',
  })
  expect(await refused.exited).toBe(1)
  expect(refused.output).toContain('is not on this machine')
  expect(agent.output).not.toContain('secret')
})

import { afterAll, beforeAll, expect, test } from 'bun:test'
import type OpenAI from 'openai'
import { type Cluster, demoModel } from './support/cluster.ts'
import { poolWithClient } from './support/official-client.ts'

// The official client against the real thing: server, agent, llama.cpp worker, demo model.

let cluster: Cluster
let openai: OpenAI

beforeAll(async () => {
  ;({ cluster, openai } = await poolWithClient())
}, 60_000)
afterAll(() => cluster.close())

const toolOf = (name: string, properties: Record<string, object>) => ({
  type: 'function' as const,
  function: {
    name,
    strict: true,
    parameters: {
      type: 'object',
      properties,
      required: Object.keys(properties),
      additionalProperties: false,
    },
  },
})
const tools = [
  toolOf('set_level', {
    level: { type: 'integer', minimum: 1, maximum: 9 },
    mark: { enum: ['</tool_call>', '<b>'] },
  }),
  toolOf('set_lamp', { on: { type: 'boolean' } }),
]
/** The model would greet. */
const greeting = {
  model: demoModel,
  messages: [{ role: 'user' as const, content: 'hello' }],
  temperature: 1,
  seed: 3,
}
const named = (name: string) => ({ type: 'function' as const, function: { name } })

async function callsFor(change: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>) {
  const { choices } = await openai.chat.completions.create({ ...greeting, tools, ...change })
  const [choice] = choices
  const calls = (choice?.message.tool_calls ?? []).map(call => {
    if (call.type !== 'function') throw new Error('a call of another type')
    return { name: call.function.name, args: JSON.parse(call.function.arguments) as unknown }
  })
  return { calls, content: choice?.message.content, reason: choice?.finish_reason }
}

test('required: some function is called, with arguments that follow its schema', async () => {
  const { calls, content, reason } = await callsFor({
    tool_choice: 'required',
    parallel_tool_calls: false,
  })
  expect(calls.length).toBe(1)
  expect(['set_level', 'set_lamp']).toContain(calls[0]?.name ?? '')
  expect(content).toBeNull()
  expect(reason).toBe('tool_calls')
})

test('by name: that function is called, whatever its arguments hold', async () => {
  for (const seed of [1, 2, 3, 4]) {
    const { calls } = await callsFor({
      tool_choice: named('set_level'),
      parallel_tool_calls: false,
      seed,
    })
    const [{ name, args } = { name: '', args: {} }] = calls
    expect(name).toBe('set_level')
    expect(args).toEqual({
      level: expect.any(Number),
      mark: expect.stringMatching(/^(<\/tool_call>|<b>)$/),
    })
  }
  const lamp = await callsFor({ tool_choice: named('set_lamp'), parallel_tool_calls: false })
  expect(lamp.calls).toEqual([{ name: 'set_lamp', args: { on: expect.any(Boolean) } }])
})

test('none: nothing is called; auto: the model decides', async () => {
  const asked = [{ role: 'user' as const, content: 'What is the weather in Paris?' }]
  const weather = [toolOf('get_current_weather', { city: { type: 'string' } })]
  const auto = await callsFor({ messages: asked, tools: weather, temperature: 0 })
  expect(auto.calls.map(call => call.name)).toEqual(['get_current_weather'])
  const none = await callsFor({ messages: asked, tools: weather, tool_choice: 'none' })
  expect(none.calls).toEqual([])
  expect(none.content).not.toBeNull()
})

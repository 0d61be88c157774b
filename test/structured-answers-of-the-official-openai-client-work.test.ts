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

const question = {
  model: demoModel,
  messages: [{ role: 'user' as const, content: 'What is the weather in Paris?' }],
  seed: 5,
}
const report = {
  type: 'json_schema' as const,
  json_schema: {
    name: 'report',
    strict: true,
    schema: {
      type: 'object',
      properties: {
        city: { type: 'string', maxLength: 12 },
        degrees: { type: 'integer', minimum: -50, maximum: 60 },
        sky: { enum: ['clear', 'cloudy'] },
      },
      required: ['city', 'degrees', 'sky'],
      additionalProperties: false,
    },
  },
}

test('an answer follows the schema that was sent, streamed as well', async () => {
  const { choices } = await openai.chat.completions.create({ ...question, response_format: report })
  const text = choices[0]?.message.content ?? ''
  const value = JSON.parse(text) as { city: string; degrees: number; sky: string }
  expect(Object.keys(value)).toEqual(['city', 'degrees', 'sky'])
  expect(value.city.length).toBeLessThanOrEqual(12)
  expect(Math.abs(value.degrees)).toBeLessThanOrEqual(60)
  expect(['clear', 'cloudy']).toContain(value.sky)
  expect(choices[0]?.finish_reason).toBe('stop')
  const stream = await openai.chat.completions.create({
    ...question,
    response_format: report,
    stream: true,
  })
  let streamed = ''
  for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? ''
  expect(streamed).toBe(text)
})

test('a schema or a grammar that cannot be kept is a bad request that says why', async () => {
  const format = {
    ...report,
    json_schema: { name: 'n', schema: { type: 'string', pattern: '^(?=a)' } },
  }
  const refused = openai.chat.completions.create({ ...question, response_format: format })
  await expect(Promise.resolve(refused)).rejects.toMatchObject({
    status: 400,
    param: 'response_format.json_schema.schema',
    message: expect.stringContaining("'pattern'"),
  })
  const body = { ...question, grammar: 'root ::= nope' }
  const unreadable = openai.chat.completions.create(body)
  await expect(Promise.resolve(unreadable)).rejects.toMatchObject({ status: 400 })
  const good = { ...question, grammar: 'root ::= "yes" | "no"' }
  const { choices } = await openai.chat.completions.create(good)
  expect(['yes', 'no']).toContain(choices[0]?.message.content ?? '')
})

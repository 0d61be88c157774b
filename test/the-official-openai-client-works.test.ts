import { afterAll, beforeAll, expect, test } from 'bun:test'
import OpenAI from 'openai'
import { type Cluster, demoModel } from './support/cluster.ts'
import { officialClient, poolWithClient } from './support/official-client.ts'

// The official client against the real thing: server, agent, llama.cpp worker, demo model.

let cluster: Cluster
let openai: OpenAI

beforeAll(async () => {
  ;({ cluster, openai } = await poolWithClient())
}, 60_000)
afterAll(() => cluster.close())

const question = {
  model: demoModel,
  temperature: 0,
  messages: [{ role: 'user' as const, content: 'What is a GPU pool?' }],
}
const answer =
  'A GPU pool joins the graphics cards of many ordinary computers so that they can answer requests together.'

test('it gets an answer that is not streamed, with usage', async () => {
  const completion = await openai.chat.completions.create(question)
  const [choice] = completion.choices
  expect(choice?.message.content).toBe(answer)
  expect(choice?.finish_reason).toBe('stop')
  expect(completion.usage?.prompt_tokens).toBeGreaterThan(5)
  expect(completion.usage?.completion_tokens).toBeGreaterThan(5)
})

test('it streams the same answer, with usage when it asks for it', async () => {
  const stream = await openai.chat.completions.create({
    ...question,
    stream: true,
    stream_options: { include_usage: true },
  })
  let text = ''
  let chunks = 0
  let usage: OpenAI.CompletionUsage | null | undefined
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    usage = chunk.usage ?? usage
    chunks++
  }
  expect(text).toBe(answer)
  expect(chunks).toBeGreaterThan(5)
  expect(usage?.completion_tokens).toBeGreaterThan(5)
})

test('its streaming helper finds every chunk well formed', async () => {
  const completion = await openai.chat.completions.stream(question).finalChatCompletion()
  expect(completion.choices[0]?.message.content).toBe(answer)
})

test('it lists the models', async () => {
  const models = await openai.models.list()
  expect(models.data.map(model => model.id)).toEqual([demoModel])
  expect((await openai.models.retrieve(demoModel)).id).toBe(demoModel)
})

test('it cancels a stream, and the slot is free at once', async () => {
  const stream = await openai.chat.completions.create({
    ...question,
    messages: [{ role: 'user', content: 'Count from 1 to 40.' }],
    stream: true,
  })
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content !== undefined) break
  stream.controller.abort()
  await cluster.server.line(line => line.includes('"outcome":"cancelled"'))
  const { data } = await cluster.admin<{ data: { activeRequests: number }[] }>(
    'GET',
    '/admin/agents',
  )
  expect(data.map(agent => agent.activeRequests)).toEqual([0])
})

test('a bad key, an unknown model and a bad request are its own error classes', async () => {
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => 'no error',
      (error: unknown) => error,
    )
  const wrongKey = await failure(
    officialClient(cluster, 'gpk_wrong').chat.completions.create(question),
  )
  expect(wrongKey).toBeInstanceOf(OpenAI.AuthenticationError)
  expect(wrongKey).toMatchObject({ status: 401, code: 'invalid_api_key' })

  const noModel = await failure(openai.chat.completions.create({ ...question, model: 'nobody' }))
  expect(noModel).toBeInstanceOf(OpenAI.NotFoundError)
  expect(noModel).toMatchObject({ status: 404, code: 'model_not_found' })

  const badRequest = await failure(
    openai.chat.completions.create({ ...question, temperature: 'hot' as never }),
  )
  expect(badRequest).toBeInstanceOf(OpenAI.BadRequestError)
  expect(badRequest).toMatchObject({ status: 400, param: 'temperature' })

  const tooLong = await failure(
    openai.chat.completions.create({
      ...question,
      messages: [{ role: 'user', content: 'word '.repeat(5_000) }],
    }),
  )
  expect(tooLong).toBeInstanceOf(OpenAI.BadRequestError)
  expect(tooLong).toMatchObject({ status: 400, code: 'context_length_exceeded' })
})

test('requests without a seed are answered differently, also when they come in the same second', async () => {
  const story = {
    model: demoModel,
    messages: [{ role: 'user' as const, content: 'Tell me a short story.' }],
    temperature: 2,
    max_completion_tokens: 40,
  }
  const completions = await Promise.all(
    [1, 2, 3, 4].map(() => openai.chat.completions.create(story)),
  )
  const texts = completions.map(({ choices }) => choices[0]?.message.content)
  expect(new Set(texts).size).toBe(4)
})

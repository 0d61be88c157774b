import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'bun:test'
import OpenAI from 'openai'
import { adminKey, testApi, type TestApi } from '../../../test/support/api.ts'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { model } from '../../../test/support/store-fixtures.ts'

/** The official client over a real socket: what it takes for an answer is one. */

let database: TestStore
let api: TestApi
let client: OpenAI
let origin = ''

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  api = await testApi(database.store)
  origin = api.listen()
  client = new OpenAI({ baseURL: `${origin}/v1`, apiKey: adminKey, maxRetries: 0 })
})
afterEach(() => api.close())

const chat = { model: 'llama', messages: [{ role: 'user' as const, content: 'hi' }] }

test('an answer arrives whole, with usage and the request’s id', async () => {
  const answer = client.chat.completions.create(chat)
  const job = await api.inference.next()
  job.say('Hello 🦊')
  job.finish('stop', 3)
  const completion = await answer
  expect(completion.choices[0]!.message.content).toBe('Hello 🦊')
  expect(completion.usage?.total_tokens).toBe(10)
  expect(completion._request_id).toBe(job.request.jobId)
})

test('a stream arrives token by token: each before the next is made', async () => {
  const stream = await (async () => {
    const opening = client.chat.completions.create({
      ...chat,
      stream: true,
      stream_options: { include_usage: true },
    })
    const job = await api.inference.next()
    job.say('0 ')
    return { chunks: await opening, job }
  })()
  let text = ''
  let usage = 0
  for await (const chunk of stream.chunks) {
    const content = chunk.choices[0]?.delta.content ?? ''
    text += content
    usage = chunk.usage?.total_tokens ?? usage
    const seen = text.split(' ').length - 1
    if (content !== '' && seen < 5) stream.job.say(`${seen} `)
    else if (content !== '') stream.job.finish('stop', 5)
  }
  expect(text).toBe('0 1 2 3 4 ')
  expect(usage).toBe(12)
})

test('a stream that waits is open at once, and its places do not disturb it', async () => {
  const opening = client.chat.completions.create({ ...chat, stream: true })
  const job = await api.inference.next()
  job.emit({ type: 'queued', position: 2, estimateMs: 1_500 })
  const chunks = await opening
  job.emit({ type: 'queued', position: 1, estimateMs: null })
  job.say('Hello')
  job.finish()
  let text = ''
  for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? ''
  expect(text).toBe('Hello')
})

test('the client’s stream helper accepts content and tool calls', async () => {
  const tools = [{ type: 'function' as const, function: { name: 'f', parameters: {} } }]
  const runner = client.chat.completions.stream({ ...chat, tools })
  const job = await api.inference.next()
  job.say('I ask.')
  job.say(JSON.stringify({ index: 0, id: 'c', name: 'f', arguments: '{"a"' }), 'tool_call')
  job.say(JSON.stringify({ index: 0, arguments: ':1}' }), 'tool_call')
  job.finish('tool_calls')
  const { choices } = await runner.finalChatCompletion()
  expect(choices[0]!.finish_reason).toBe('tool_calls')
  expect(choices[0]!.message.content).toBe('I ask.')
  expect(choices[0]!.message.tool_calls![0]).toMatchObject({
    id: 'c',
    function: { name: 'f', arguments: '{"a":1}' },
  })
})

test('a client that aborts a stream frees the slot, once', async () => {
  const opening = client.chat.completions.create({ ...chat, stream: true })
  const job = await api.inference.next()
  job.say('a')
  const stream = await opening
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'a') break
  await job.cancelled
  expect(job.cancels).toBe(1)
})

test('a client that aborts while it waits frees the slot, streamed or not', async () => {
  for (const stream of [true, false]) {
    const abort = new AbortController()
    const opening = client.chat.completions.create({ ...chat, stream }, { signal: abort.signal })
    const job = await api.inference.next()
    abort.abort()
    await expect(Promise.resolve(opening)).rejects.toBeInstanceOf(OpenAI.APIUserAbortError)
    await job.cancelled
    expect(job.cancels).toBe(1)
  }
})

test('each refusal is the client’s error for it', async () => {
  const strange = new OpenAI({ baseURL: `${origin}/v1`, apiKey: 'gpk_no', maxRetries: 0 })
  await expect(Promise.resolve(strange.models.list())).rejects.toMatchObject({
    constructor: OpenAI.AuthenticationError,
    code: 'invalid_api_key',
  })
  const refusal = async (
    code: 'model_not_found' | 'prompt_too_long' | 'queue_full' | 'no_capable_agent',
  ) => {
    api.inference.onSubmit = job => job.fail({ code, message: 'why' })
    return client.chat.completions.create(chat).then(
      () => null,
      (error: unknown) => error,
    )
  }
  expect(await refusal('model_not_found')).toBeInstanceOf(OpenAI.NotFoundError)
  expect(await refusal('prompt_too_long')).toBeInstanceOf(OpenAI.BadRequestError)
  expect(await refusal('queue_full')).toBeInstanceOf(OpenAI.RateLimitError)
  expect(await refusal('no_capable_agent')).toBeInstanceOf(OpenAI.InternalServerError)
  const unsupported = client.chat.completions.create({ ...chat, modalities: ['audio'] })
  await expect(Promise.resolve(unsupported)).rejects.toMatchObject({
    status: 400,
    code: 'unsupported',
    param: 'modalities',
  })
})

test('a failure in the middle of a stream is an error and not a short answer', async () => {
  const opening = client.chat.completions.create({ ...chat, stream: true })
  const job = await api.inference.next()
  job.say('a')
  const stream = await opening
  const reading = (async () => {
    for await (const chunk of stream)
      if (chunk.choices[0]?.delta.content === 'a') job.fail({ code: 'agent_lost', message: 'lost' })
  })()
  await expect(reading).rejects.toMatchObject({ code: 'agent_lost' })
})

test('models are listed and shown', async () => {
  await database.store.addModel(model('org/llama'))
  expect((await client.models.list()).data.map(each => each.id)).toEqual(['org/llama'])
  expect((await client.models.retrieve('org/llama')).owned_by).toBe('gpupool')
})

test('a client that does not read loses its job and its connection', async () => {
  api.inference.onSubmit = job => queueMicrotask(() => job.say('a'))
  const response = await fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminKey}` },
    body: JSON.stringify({ ...chat, stream: true }),
  })
  const job = api.inference.submissions[0]!
  const chunk = 'x'.repeat(64 * 1024)
  let said = 0
  // The kernel's buffers take a few MiB; each turn lets the socket take what it can.
  while (job.cancels === 0 && said < 1_000) {
    job.say(chunk)
    said++
    await new Promise(setImmediate)
  }
  expect(job.cancels).toBe(1)
  await expect(response.text()).rejects.toThrow()
})

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { adminKey, testApi, type TestApi } from '../../../test/support/api.ts'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { model, start } from '../../../test/support/store-fixtures.ts'
import { chatBodyBytesMax } from './chat-request.ts'

let database: TestStore
let api: TestApi

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  api = await testApi(database.store)
})
afterEach(() => api.close())

const chat = { model: 'llama', messages: [{ role: 'user', content: 'hi' }] }
const errorOf = async (response: Response) => {
  const { error } = (await response.json()) as { error: Record<string, unknown> }
  return { status: response.status, ...error }
}

describe('POST /v1/chat/completions', () => {
  test('hands the pool a whole job under the caller’s key and names it in the answer', async () => {
    const answer = api.post('/v1/chat/completions', { ...chat, seed: 1 })
    const job = await api.inference.next()
    expect(job.request).toMatchObject({ keyId: 'admin', model: 'llama', receivedAt: start })
    job.say('hm', 'reasoning')
    job.say('Hello ')
    job.say('you')
    job.finish('stop', 3)
    const response = await answer
    expect(response.headers.get('x-request-id')).toBe(job.request.jobId)
    expect(await response.json()).toEqual({
      id: `chatcmpl-${job.request.jobId}`,
      object: 'chat.completion',
      created: Math.floor(start / 1000),
      model: 'llama',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'Hello you',
            refusal: null,
            reasoning_content: 'hm',
          },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
    })
  })

  test.each([
    ['priority', ['infer', 'infer:priority'], 'high', 'priority'],
    ['priority', ['infer'], 'normal', 'default'],
    ['flex', ['infer'], 'low', 'flex'],
    ['auto', ['infer'], 'normal', 'default'],
  ] as const)(
    'service_tier %s with scopes %p waits as %s and is told as %s',
    async (tier, scopes, priority, served) => {
      const made = await api.post('/admin/keys', { name: 'k', scopes })
      const { key } = (await made.json()) as { key: string }
      const whole = api.post('/v1/chat/completions', { ...chat, service_tier: tier }, key)
      const job = await api.inference.next()
      expect(job.request.priority).toBe(priority)
      job.finish()
      expect(await (await whole).json()).toHaveProperty('service_tier', served)
      const asked = { ...chat, service_tier: tier, stream: true }
      const streamed = api.post('/v1/chat/completions', asked, key)
      const next = await api.inference.next()
      next.say('a')
      next.finish()
      const [first = ''] = (await (await streamed).text()).split('\n\n')
      expect(JSON.parse(first.slice('data: '.length))).toHaveProperty('service_tier', served)
    },
  )

  test('puts tool calls together and has null content with them', async () => {
    const answer = api.post('/v1/chat/completions', chat)
    const job = await api.inference.next()
    const part = (delta: object) => job.say(JSON.stringify(delta), 'tool_call')
    part({ index: 1, id: 'b', name: 'g', arguments: '{}' })
    part({ index: 0, id: 'a', name: 'f', arguments: '{"x"' })
    part({ index: 0, arguments: ':1}' })
    job.finish('tool_calls')
    const completion = await (await answer).json()
    expect(completion).toHaveProperty('choices.0.message', {
      role: 'assistant',
      content: null,
      refusal: null,
      tool_calls: [
        { id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
        { id: 'b', type: 'function', function: { name: 'g', arguments: '{}' } },
      ],
    })
  })

  test('a client that hangs up cancels a job that is not streamed, once', async () => {
    const client = new AbortController()
    const headers = { authorization: `Bearer ${adminKey}` }
    const init = { method: 'POST', headers, body: JSON.stringify(chat), signal: client.signal }
    const answer = api.call('/v1/chat/completions', init)
    const job = await api.inference.next()
    client.abort()
    expect((await answer).status).toBe(499)
    job.finish()
    expect(job.cancels).toBe(1)
  })

  test.each([
    ['malformed JSON', '{"model":', 400, 'invalid_request'],
    ['bytes that are no UTF-8', '\ud800', 400, 'invalid_request'],
    ['no body', '', 400, 'invalid_request'],
    ['a wrong type', { ...chat, temperature: 'hot' }, 400, 'invalid_request'],
    ['something unsupported', { ...chat, modalities: ['audio'] }, 400, 'unsupported'],
    ['an impossible model', { ...chat, model: '../x' }, 404, 'model_not_found'],
    ['a body over the limit', 'x'.repeat(chatBodyBytesMax + 1), 413, 'payload_too_large'],
  ])('%s is refused and never reaches the pool', async (_, body, status, code) => {
    const response = await api.post('/v1/chat/completions', body)
    expect(response.headers.get('x-request-id')).toBeString()
    expect(await errorOf(response)).toMatchObject({ status, code })
    expect(api.inference.submissions).toHaveLength(0)
  })

  test('a body over the limit is refused while it comes, without an announced length', async () => {
    let pieces = 0
    const endless = new ReadableStream({
      pull(controller) {
        pieces++
        controller.enqueue(new Uint8Array(64 * 1024))
      },
    })
    const headers = { authorization: `Bearer ${adminKey}` }
    const response = await api.call('/v1/chat/completions', {
      method: 'POST',
      headers,
      body: endless,
    })
    expect(response.status).toBe(413)
    expect(pieces * 64 * 1024).toBeLessThan(2 * chatBodyBytesMax)
  })

  test.each([
    ['model_not_found', 404, 'model_not_found', null],
    ['prompt_too_long', 400, 'context_length_exceeded', null],
    ['no_capable_agent', 503, 'no_capable_agent', '60'],
    ['queue_full', 429, 'queue_full', '2'],
  ] as const)(
    'the pool’s %s becomes HTTP %d, streamed or not',
    async (code, status, word, wait) => {
      api.inference.onSubmit = job => job.fail({ code, message: 'why' })
      for (const stream of [true, false]) {
        const response = await api.post('/v1/chat/completions', { ...chat, stream })
        expect(response.headers.get('retry-after')).toBe(wait)
        expect(await errorOf(response)).toMatchObject({ status, code: word, message: 'why' })
      }
    },
  )

  test('a refusal says when to come back, in seconds and in milliseconds, streamed or not', async () => {
    api.inference.onSubmit = job =>
      job.fail({ code: 'queue_full', message: 'why', retryAfterMs: 4_200 })
    for (const stream of [true, false]) {
      const { headers } = await api.post('/v1/chat/completions', { ...chat, stream })
      expect([headers.get('retry-after'), headers.get('retry-after-ms')]).toEqual(['5', '4200'])
    }
  })
})

describe('GET /v1/models', () => {
  test('lists the catalogue in OpenAI’s form, and shows one, slashes in its name or not', async () => {
    await database.store.addModel(model('llama'))
    await database.store.addModel(model('org/model'))
    const entry = (id: string) => ({
      id,
      object: 'model',
      created: Math.floor(start / 1000),
      owned_by: 'gpupool',
      kind: 'chat',
    })
    expect(await (await api.call('/v1/models')).json()).toEqual({
      object: 'list',
      data: [entry('llama'), entry('org/model')],
    })
    for (const path of ['org/model', 'org%2Fmodel'])
      expect(await (await api.call(`/v1/models/${path}`)).json()).toEqual(entry('org/model'))
    expect(await errorOf(await api.call('/v1/models/none'))).toMatchObject({
      status: 404,
      code: 'model_not_found',
    })
  })
})

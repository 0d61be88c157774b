import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { adminKey, testApi, type TestApi } from '../../../test/support/api.ts'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { start } from '../../../test/support/store-fixtures.ts'
import { limits } from '../../protocol/limits.ts'
import { vectorBodyBytesMax } from './vector-request.ts'

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

const embed = (change: object = {}) =>
  api.post('/v1/embeddings', { model: 'vectors', input: 'hi', ...change })
const rerank = (change: object = {}) =>
  api.post('/v1/rerank', { model: 'ranks', query: 'q', documents: ['a', 'b', 'c'], ...change })
/** The pool answers at once with these vectors. */
const answering = (...vectors: readonly (readonly number[])[]) => {
  api.inference.onEmbed = job => job.finish(vectors)
}
const errorOf = async (response: Response) => {
  const { error } = (await response.json()) as { error: Record<string, unknown> }
  return { status: response.status, ...error }
}
type Embeddings = { data: { index: number; embedding: number[] }[] }
const f32 = (...values: number[]) => [...Float32Array.from(values)]

describe('POST /v1/embeddings', () => {
  test('hands the pool a whole job under the caller’s key and answers in OpenAI’s form', async () => {
    answering([0.6, 0.8], [1, 0])
    const response = await embed({ input: ['a', 'b'], user: 'somebody' })
    const [job] = api.inference.embeds
    expect(job?.request).toMatchObject({
      keyId: 'admin',
      model: 'vectors',
      embed: { kind: 'embedding', inputs: ['a', 'b'], normalise: true },
      dimensions: null,
      receivedAt: start,
    })
    expect(response.headers.get('x-request-id')).toBe(job!.request.jobId)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toEqual({
      object: 'list',
      data: [
        { object: 'embedding', index: 0, embedding: f32(0.6, 0.8) },
        { object: 'embedding', index: 1, embedding: [1, 0] },
      ],
      model: 'vectors',
      usage: { prompt_tokens: 7, total_tokens: 7 },
    })
  })

  test('base64 holds the same numbers as floats do', async () => {
    answering([0.1, -2.5e-8, 3])
    const floats = (await (await embed()).json()) as Embeddings
    const text = (await (await embed({ encoding_format: 'base64' })).json()) as {
      data: { embedding: string }[]
    }
    const bytes = Buffer.from(text.data[0]!.embedding, 'base64')
    const values = [0, 4, 8].map(at => bytes.readFloatLE(at))
    expect(bytes).toHaveLength(12)
    expect(values).toEqual(floats.data[0]!.embedding)
    expect(values).toEqual(f32(0.1, -2.5e-8, 3))
  })

  test('a text, tokens, several of both: each is understood', async () => {
    answering([1])
    const inputsFor = async (input: unknown) => {
      await embed({ input })
      const { embed: job } = api.inference.embeds.at(-1)!.request
      return job.kind === 'embedding' && job.inputs
    }
    expect(await inputsFor('a')).toEqual(['a'])
    expect(await inputsFor([1, 2])).toEqual([[1, 2]])
    expect(await inputsFor([[1, 2], [3]])).toEqual([[1, 2], [3]])
    expect(await inputsFor(['a', [3]])).toEqual(['a', [3]])
  })

  test('a vector that is cut is as long as before, unless it was to stay as it is', async () => {
    answering([3, 4, 12])
    const cut = async (change: object) => {
      const { data } = (await (await embed({ dimensions: 2, ...change })).json()) as Embeddings
      return data[0]!.embedding
    }
    expect(await cut({})).toEqual(f32(0.6, 0.8))
    expect(await cut({ embd_normalize: -1 })).toEqual([3, 4])
    expect(api.inference.embeds.map(({ request }) => request.dimensions)).toEqual([2, 2])
  })

  test('a large answer arrives whole, over a real socket', async () => {
    const vectors = Array.from({ length: 300 }, (_, i) => Array<number>(1_000).fill(i))
    answering(...vectors)
    const response = await fetch(`${api.listen()}/v1/embeddings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminKey}` },
      body: JSON.stringify({ model: 'vectors', input: Array(300).fill('a') }),
    })
    const { data } = (await response.json()) as Embeddings
    expect(data.map(({ embedding }) => embedding)).toEqual(vectors)
  })

  const refusals: Record<string, [object, string, string?]> = {
    'no input': [{ input: undefined }, 'input'],
    'an empty text': [{ input: '' }, 'input'],
    'no inputs': [{ input: [] }, 'input'],
    'an empty text among others': [{ input: ['a', ''] }, 'input[1]'],
    'empty tokens': [{ input: [[1], []] }, 'input[1]'],
    'a token that is none': [{ input: [[1, -1]] }, 'input[0][1]'],
    'half a token': [{ input: [1, 0.5] }, 'input[1]'],
    'an input that is none': [{ input: ['a', { text: 'b' }] }, 'input[1]'],
    'too many inputs': [{ input: Array(limits.inputsPerRequestMax + 1).fill('a') }, 'input'],
    'an unknown encoding': [{ encoding_format: 'hex' }, 'encoding_format'],
    'no dimensions': [{ dimensions: 0 }, 'dimensions'],
    'another norm': [{ embd_normalize: 1 }, 'embd_normalize', 'unsupported'],
  }
  for (const [what, [change, param, code = 'invalid_request']] of Object.entries(refusals))
    test(`${what} is refused before the pool hears of it`, async () => {
      expect(await errorOf(await embed(change))).toMatchObject({ status: 400, param, code })
      expect(api.inference.embeds).toEqual([])
    })

  test('an input that is too long for the model is a 400 that names it', async () => {
    const message = 'input[3] has 900 tokens; the model takes 512 tokens'
    api.inference.onEmbed = job => job.fail({ code: 'prompt_too_long', message })
    expect(await errorOf(await embed())).toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
      param: 'input',
      message,
    })
  })

  test('what a machine says of its inside stays in the pool', async () => {
    const message = 'the model of somebody is broken'
    api.inference.onEmbed = job => job.fail({ code: 'worker_died', message })
    const error = await errorOf(await embed())
    expect(error).toMatchObject({ status: 502, code: 'worker_died' })
    expect(JSON.stringify(error)).not.toContain('somebody')
  })

  test('a body over the limit is refused unread', async () => {
    const response = await embed({ input: 'x'.repeat(vectorBodyBytesMax) })
    expect(response.status).toBe(413)
  })

  test('a client that hangs up cancels its job, once', async () => {
    const abort = new AbortController()
    const origin = api.listen()
    const { promise: submitted, resolve } = Promise.withResolvers<void>()
    api.inference.onEmbed = () => resolve()
    const asking = fetch(`${origin}/v1/embeddings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminKey}` },
      body: JSON.stringify({ model: 'vectors', input: 'a' }),
      signal: abort.signal,
    })
    await submitted
    abort.abort()
    await expect(asking).rejects.toThrow()
    await api.inference.embeds[0]!.cancelled
    expect(api.inference.embeds[0]!.cancels).toBe(1)
  })

  test('without a key nothing is looked at', async () => {
    for (const path of ['/v1/embeddings', '/v1/rerank'])
      expect((await api.post(path, {}, 'gpk_none')).status).toBe(401)
  })
})

describe('POST /v1/rerank', () => {
  test('the best document comes first, equals in their order, with their places in the request', async () => {
    answering([0.25], [0.75], [0.25])
    expect(await (await rerank()).json()).toEqual({
      object: 'list',
      model: 'ranks',
      results: [
        { index: 1, relevance_score: 0.75 },
        { index: 0, relevance_score: 0.25 },
        { index: 2, relevance_score: 0.25 },
      ],
      usage: { prompt_tokens: 7, total_tokens: 7 },
    })
    expect(api.inference.embeds[0]!.request).toMatchObject({
      embed: { kind: 'rerank', query: 'q', documents: ['a', 'b', 'c'] },
      dimensions: null,
    })
  })

  test('only the best, with their texts, when asked so; documents may be objects', async () => {
    answering([0.25], [0.75])
    const response = await rerank({
      documents: [{ text: 'a' }, 'b'],
      top_n: 1,
      return_documents: true,
    })
    expect(await response.json()).toMatchObject({
      results: [{ index: 1, relevance_score: 0.75, document: { text: 'b' } }],
    })
    expect(await (await rerank({ documents: ['a', 'b'], top_n: 9 })).json()).toMatchObject({
      results: [{ index: 1 }, { index: 0 }],
    })
  })

  const refusals: Record<string, [object, string, string?]> = {
    'no query': [{ query: undefined }, 'query'],
    'an empty query': [{ query: '' }, 'query'],
    'no documents': [{ documents: undefined }, 'documents'],
    'an empty list of documents': [{ documents: [] }, 'documents'],
    'a document without text': [{ documents: ['a', {}] }, 'documents[1].text'],
    'a document that is none': [{ documents: ['a', 7] }, 'documents[1]'],
    'none of the best': [{ top_n: 0 }, 'top_n'],
    'a wish to cut': [{ max_tokens_per_doc: 512 }, 'max_tokens_per_doc', 'unsupported'],
  }
  for (const [what, [change, param, code = 'invalid_request']] of Object.entries(refusals))
    test(`${what} is refused before the pool hears of it`, async () => {
      expect(await errorOf(await rerank(change))).toMatchObject({ status: 400, param, code })
      expect(api.inference.embeds).toEqual([])
    })
})

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import OpenAI from 'openai'
import { writeSyntheticGguf } from '../src/models/synthetic-gguf.ts'
import { Cluster, demoModel } from './support/cluster.ts'
import { officialClient } from './support/official-client.ts'
import { embeddingDimensions, encoder, pooling } from './support/embedding-models.ts'

// The official client against a whole pool of processes, with an encoder and a reranker of random weights.

let cluster: Cluster
let openai: OpenAI

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
  for (const [name, poolingType] of [
    ['vectors', pooling.mean],
    ['ranks', pooling.rank],
  ] as const) {
    const source = join(cluster.folder, `${name}.gguf`)
    await writeSyntheticGguf(source, encoder(poolingType), 'random')
    await cluster.admin('POST', '/admin/models', { name, source, slots: 2 })
  }
  await cluster.addAgent('laptop')
  openai = officialClient(cluster, cluster.adminKey)
}, 60_000)
afterAll(() => cluster.close())

const input = ['a b c', 'z', 'hello there', 'a b c']

test('texts become vectors of length 1, in order, the same as floats and in the client’s own base64', async () => {
  const { data, usage } = await openai.embeddings.create({ model: 'vectors', input })
  const floats = await openai.embeddings.create({
    model: 'vectors',
    input,
    encoding_format: 'float',
  })
  expect(data.map(({ index }) => index)).toEqual([0, 1, 2, 3])
  for (const [i, { embedding }] of data.entries()) {
    expect(embedding).toHaveLength(embeddingDimensions)
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 6)
    expect([...embedding]).toEqual(floats.data[i]!.embedding)
  }
  expect(data[0]!.embedding).toEqual(data[3]!.embedding)
  expect(data[0]!.embedding).not.toEqual(data[1]!.embedding)
  expect(usage.prompt_tokens).toBeGreaterThan(input.length)
  expect(usage.total_tokens).toBe(usage.prompt_tokens)
}, 60_000)

test('usage is booked as the client was told', async () => {
  const usage = async () => {
    const { data } = await cluster.admin<{ data: { model: string; promptTokens: number }[] }>(
      'GET',
      '/admin/usage',
    )
    return data
      .filter(({ model }) => model === 'vectors')
      .reduce((n, row) => n + row.promptTokens, 0)
  }
  const before = await usage()
  const answer = await openai.embeddings.create({ model: 'vectors', input })
  expect((await usage()) - before).toBe(answer.usage.prompt_tokens)
})

test('an input that is too long, and dimensions that the model does not have, are the client’s errors', async () => {
  const tooLong = openai.embeddings.create({ model: 'vectors', input: ['a', 'b '.repeat(100)] })
  await expect(Promise.resolve(tooLong)).rejects.toMatchObject({
    constructor: OpenAI.BadRequestError,
    code: 'context_length_exceeded',
    param: 'input',
    message: expect.stringContaining('input[1] has'),
  })
  const cut = openai.embeddings.create({ model: 'vectors', input, dimensions: 8 })
  await expect(Promise.resolve(cut)).rejects.toMatchObject({ status: 400, code: 'unsupported' })
})

test('a model is asked only for what it is for, and says so in the list', async () => {
  const kinds = (await openai.models.list()).data.map(model => [
    model.id,
    Reflect.get(model, 'kind'),
  ])
  expect(Object.fromEntries(kinds)).toEqual({
    [demoModel]: 'chat',
    vectors: 'embedding',
    ranks: 'rerank',
  })
  const wrong = openai.embeddings.create({ model: demoModel, input })
  await expect(Promise.resolve(wrong)).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('POST /v1/chat/completions'),
  })
  const chat = openai.chat.completions.create({
    model: 'vectors',
    messages: [{ role: 'user', content: 'hi' }],
  })
  await expect(Promise.resolve(chat)).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('POST /v1/embeddings'),
  })
})

test('documents are rated', async () => {
  const { results } = await cluster.admin<{
    results: { index: number; relevance_score: number }[]
  }>('POST', '/v1/rerank', { model: 'ranks', query: 'a b', documents: ['a', 'b c', 'a'] })
  expect(results.map(({ index }) => index).toSorted()).toEqual([0, 1, 2])
  const scores = new Map(results.map(result => [result.index, result.relevance_score]))
  expect(scores.get(0)).toBe(scores.get(2)!)
  for (const score of scores.values()) {
    expect(score).toBeGreaterThan(0)
    expect(score).toBeLessThan(1)
  }
})

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encoder, pooledDecoder, pooling } from '../../test/support/embedding-models.ts'
import { describeModel } from './describe-model.ts'
import { readGgufHeader } from './gguf-header.ts'
import { embeddingDimensions, modelKind } from './model-kind.ts'
import { writeSyntheticGguf, type SyntheticModel } from './synthetic-gguf.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gpupool-kind-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function headerOf(model: SyntheticModel) {
  const path = join(folder, 'model.gguf')
  await writeSyntheticGguf(path, model, 'hole')
  const header = readGgufHeader(path)
  if (typeof header === 'string') throw new Error(header)
  return header
}
const without = (model: SyntheticModel, key: string): SyntheticModel => ({
  ...model,
  metadata: new Map([...model.metadata].filter(([name]) => name !== key)),
})

test('the pooling type tells embedding models and rerankers from chat models', async () => {
  const kinds = {
    none: 'chat',
    mean: 'embedding',
    cls: 'embedding',
    last: 'embedding',
    rank: 'rerank',
  }
  for (const [name, kind] of Object.entries(kinds)) {
    const model = pooledDecoder(pooling[name as keyof typeof pooling])
    expect(modelKind(await headerOf(model))).toBe(kind as 'chat')
  }
  const silent = without(pooledDecoder(pooling.mean), 'llama.pooling_type')
  expect(modelKind(await headerOf(silent))).toBe('chat')
})

test('an encoder never chats, and one with a head for pairs is a reranker, whatever it says of pooling', async () => {
  const silent = without(encoder(pooling.mean), 'bert.pooling_type')
  expect(modelKind(await headerOf(silent))).toBe('embedding')
  expect(modelKind(await headerOf(encoder(pooling.none)))).toBe('embedding')
  const ranker = without(encoder(pooling.rank), 'bert.pooling_type')
  expect(modelKind(await headerOf(ranker))).toBe('rerank')
})

test('vectors are as long as the header says, projected or not', async () => {
  expect(embeddingDimensions(await headerOf(encoder(pooling.mean)))).toBe(64)
  const { metadata, tensors } = encoder(pooling.mean)
  const projected = new Map([...metadata, ['bert.embedding_length_out', { u32: 32 }] as const])
  expect(embeddingDimensions(await headerOf({ metadata: projected, tensors }))).toBe(32)
})

test('the manifest says what the model is for', async () => {
  const path = join(folder, 'model.gguf')
  await writeSyntheticGguf(path, encoder(pooling.cls), 'hole')
  expect(await describeModel(path)).toMatchObject({
    kind: 'embedding',
    embedding: { dimensions: 64, dimensionsMin: null },
  })
  await writeSyntheticGguf(path, encoder(pooling.rank), 'hole')
  expect(await describeModel(path)).toMatchObject({ kind: 'rerank' })
})

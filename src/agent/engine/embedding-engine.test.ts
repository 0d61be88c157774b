import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  contextTokensTrained,
  embeddingDimensions,
  encoder,
  pooledDecoder,
  pooling,
} from '../../../test/support/embedding-models.ts'
import { writeSyntheticGguf, type SyntheticModel } from '../../models/synthetic-gguf.ts'
import type { EmbedInput } from '../../protocol/embed-job.ts'
import { chatJob, EngineSession } from './engine-harness.ts'
import type { EngineModel } from './engine.ts'
import { startLlamaEngine } from './llama-engine.ts'

/** Real workers with real llama.cpp; the models' weights are random, so that only the machinery is looked at. */

let folder = ''
const sessions: EngineSession[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gpupool-embed-'))
})
afterAll(async () => {
  await Promise.all(sessions.map(session => session.engine.close()))
  await rm(folder, { recursive: true, force: true })
})

async function load(name: string, model: SyntheticModel, slots = 3): Promise<EngineSession> {
  const modelPath = join(folder, `${name}.gguf`)
  await writeSyntheticGguf(modelPath, model, 'random')
  const wanted: EngineModel = {
    modelPath,
    contextTokens: 1_024,
    slots,
    threads: 1,
    gpuLayers: null,
  }
  const session = new EngineSession(startLlamaEngine, wanted)
  sessions.push(session)
  await session.until(() => session.events.some(({ type }) => type !== 'loading'))
  return session
}

const embedding = (inputs: EmbedInput[], normalise = true) =>
  ({ kind: 'embedding', inputs, normalise }) as const
const lengthOf = (values: Float32Array): number => Math.hypot(...values)

const models = {
  'a decoder with mean pooling': () => pooledDecoder(pooling.mean),
  'a decoder with last-token pooling': () => pooledDecoder(pooling.last),
  'an encoder': () => encoder(pooling.mean),
  'an encoder with cls pooling': () => encoder(pooling.cls),
}
for (const [name, model] of Object.entries(models))
  describe(name, () => {
    let session: EngineSession
    beforeAll(async () => {
      session = await load(name, model())
    })

    test('takes inputs as long as it was trained for', () => {
      expect(session.eventOf('ready')).toMatchObject({
        contextTokens: contextTokensTrained,
        slots: 3,
      })
    })

    test('its vectors have length 1, the library’s own have not', async () => {
      const [ours] = (await session.embed(embedding(['a b c']))).vectors
      const [raw] = (await session.embed(embedding(['a b c'], false))).vectors
      expect(ours?.values).toHaveLength(embeddingDimensions)
      expect(lengthOf(ours!.values)).toBeCloseTo(1, 6)
      expect(Math.abs(lengthOf(raw!.values) - 1)).toBeGreaterThan(0.1)
    })

    test('the same text has the same vector, another text another, in the order of the inputs', async () => {
      const texts = Array.from({ length: 20 }, (_, i) => 'a b '.repeat((i * 7) % 5) + 'xyz'[i % 3])
      const { vectors, ended } = await session.embed(embedding(texts))
      expect(ended).toMatchObject({ type: 'finished', reason: 'stop' })
      expect(vectors.map(({ index }) => index)).toEqual(texts.map((_, i) => i))
      for (const [i, text] of texts.entries()) {
        const [alone] = (await session.embed(embedding([text]))).vectors
        expect(vectors[i]!.values).toEqual(alone!.values)
        expect(vectors[i]!.promptTokens).toBe(alone!.promptTokens)
      }
      expect(vectors[0]!.values).not.toEqual(vectors[1]!.values)
    })

    test('an input that is too long is refused by its number, and nothing is computed', async () => {
      const { vectors, ended } = await session.embed(embedding(['a', 'b '.repeat(100), 'c']))
      expect(vectors).toEqual([])
      expect(ended).toMatchObject({ type: 'failed', error: { code: 'prompt_too_long' } })
      expect(ended?.type === 'failed' && ended.error.message).toMatch(
        /^input\[1\] has \d+ tokens; the model takes 64 tokens$/,
      )
    })

    test('an input that fills the model to the last token has a vector', async () => {
      const ids = Array.from({ length: contextTokensTrained - 2 }, (_, i) => 4 + (i % 40))
      const [vector] = (await session.embed(embedding([ids]))).vectors
      expect(vector!.promptTokens).toBeGreaterThan(contextTokensTrained - 2)
      expect(vector!.promptTokens).toBeLessThanOrEqual(contextTokensTrained)
      expect(lengthOf(vector!.values)).toBeCloseTo(1, 6)
    })

    test('a token that the model does not have is refused by the input’s number', async () => {
      const { ended } = await session.embed(embedding([[5, 6], [100_000]]))
      expect(ended).toMatchObject({ type: 'failed', error: { code: 'invalid_request' } })
      expect(ended?.type === 'failed' && ended.error.message).toContain('input[1]')
    })

    test('a cancelled job says nothing more, and others go on', async () => {
      const cancelled = session.beginEmbed(embedding(Array<string>(500).fill('a b c d e f g')))
      await session.until(() => cancelled.vectors.length > 0)
      session.engine.cancel(cancelled.stream, 1)
      const heard = cancelled.vectors.length
      const other = await session.embed(embedding(['a']))
      expect(other.ended?.type).toBe('finished')
      expect(cancelled.vectors).toHaveLength(heard)
      expect(cancelled.ended).toBeNull()
    })

    test('it does not chat and does not rate', async () => {
      const chatted = await session.ask(chatJob('hello'))
      const rated = await session.embed({ kind: 'rerank', query: 'a', documents: ['b'] })
      for (const { ended } of [chatted, rated])
        expect(ended).toMatchObject({ type: 'failed', error: { code: 'unsupported' } })
    })
  })

describe('a reranker', () => {
  let session: EngineSession
  beforeAll(async () => {
    session = await load('reranker', encoder(pooling.rank))
  })

  test('each document has a score from 0 to 1, in order, the same every time', async () => {
    const documents = ['a', 'b c d', 'a', '', 'z z z z z z z z z z']
    const { vectors, ended } = await session.embed({ kind: 'rerank', query: 'a b', documents })
    expect(ended?.type).toBe('finished')
    expect(vectors.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4])
    for (const { values } of vectors) {
      expect(values).toHaveLength(1)
      expect(values[0]).toBeGreaterThan(0)
      expect(values[0]).toBeLessThan(1)
    }
    expect(vectors[0]!.values).toEqual(vectors[2]!.values)
  })

  test('a document that is too long is refused by its number', async () => {
    const documents = ['a', 'b', 'c '.repeat(80)]
    const { vectors, ended } = await session.embed({ kind: 'rerank', query: 'a', documents })
    expect(vectors).toEqual([])
    expect(ended?.type === 'failed' && ended.error.message).toContain('documents[2] has ')
  })

  test('it makes no vectors of texts', async () => {
    const { ended } = await session.embed(embedding(['a']))
    expect(ended).toMatchObject({ type: 'failed', error: { code: 'unsupported' } })
  })
})

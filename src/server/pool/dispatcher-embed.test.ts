import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import {
  askTiny,
  connectAgent,
  openPool,
  type ScriptedAgent,
} from '../../../test/support/scripted-agent.ts'
import { model } from '../../../test/support/store-fixtures.ts'
import type { EmbedJob } from '../../protocol/embed-job.ts'
import { newJobId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { AssignEmbed } from '../../protocol/server-message.ts'
import type { EmbedEvent } from '../inference.ts'
import type { Pool } from './assemble-pool.ts'

// The real dispatcher, scheduler, relay and store; the agents are scripts at the end of a link.

let database: TestStore
let pool: Pool
const now = 1_000_000

const embeddingModel = (name: string, dimensions: number, dimensionsMin: number | null = null) =>
  model(name, {
    slots: 1,
    manifest: {
      ...model(name).manifest,
      sha256: new Bun.CryptoHasher('sha256').update(name).digest('hex'),
      kind: 'embedding',
      embedding: { dimensions, dimensionsMin },
    },
  })

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  await database.store.addModel(model('tiny', { slots: 1 }))
  await database.store.addModel(embeddingModel('vectors', 2))
  await database.store.addModel(embeddingModel('nested', 8, 4))
  await database.store.addModel(embeddingModel('wide', 16_384))
  pool = await openPool(database.store, () => now)
})

const features = ['embeddings', 'rerank']
const connect = (name: string, listed = features) =>
  connectAgent(pool, database.store, name, { features: listed })

const texts: EmbedJob = { kind: 'embedding', inputs: ['a', 'b'], normalise: true }
function embed(name: string, job: EmbedJob = texts, dimensions: number | null = null) {
  const events: EmbedEvent[] = []
  const request = {
    jobId: newJobId(),
    keyId: 'key-1',
    model: name,
    embed: job,
    dimensions,
    receivedAt: now,
  }
  const { cancel } = pool.dispatcher.submitEmbed(request, event => events.push(event))
  return { events, cancel }
}

function jobOf(agent: ScriptedAgent): AssignEmbed {
  const job = agent.sent.findLast(message => message.type === 'assign_embed')
  if (job === undefined) throw new Error('no job was assigned')
  return job
}

function vectors(agent: ScriptedAgent, ...all: readonly (readonly number[])[]): void {
  const { stream, attempt } = jobOf(agent)
  const frames = all.map((values, index) => ({
    type: 'vector' as const,
    stream,
    attempt,
    index,
    promptTokens: 3,
    values: Float32Array.from(values),
  }))
  agent.says({ type: 'tokens', frames })
}

function finish(agent: ScriptedAgent): void {
  const { stream, attempt } = jobOf(agent)
  agent.says({ type: 'finished', stream, attempt, reason: 'stop', tokens: 0 })
}

test('a request loads the model, gets its vectors, and ends with usage from the store', async () => {
  const agent = await connect('a')
  const { events } = embed('vectors')
  expect(agent.types).toEqual(['cancel', 'load', 'assign_embed'])
  expect(jobOf(agent).embed).toEqual(texts)
  vectors(agent, [1, 0], [0, 1])
  expect(events).toEqual([])
  finish(agent)
  await pool.settlement.drained()
  expect(events).toEqual([
    {
      type: 'finished',
      vectors: [Float32Array.of(1, 0), Float32Array.of(0, 1)],
      usage: { promptTokens: 6, completionTokens: 0 },
    },
  ])
  expect(await database.store.usage()).toMatchObject([{ promptTokens: 6, completionTokens: 0 }])
  expect(pool.poolAdmin.counts()).toMatchObject({ requestsRunning: 0, slotsBusy: 0 })
})

test('a lost agent’s vectors are forgotten: another one makes them all, and usage counts them once', async () => {
  const first = await connect('a')
  const { events } = embed('vectors')
  const second = await connect('b')
  vectors(first, [9, 9])
  pool.dispatcher.agentGone(first.id, first)
  vectors(second, [1, 0], [0, 1])
  finish(second)
  await pool.settlement.drained()
  expect(events).toMatchObject([
    { type: 'finished', vectors: [{ 0: 1 }, { 0: 0 }], usage: { promptTokens: 6 } },
  ])
  expect(await database.store.usage()).toMatchObject([{ promptTokens: 6 }])
})

test('a client that hangs up frees the slot and stops the agent', async () => {
  const agent = await connect('a')
  const { cancel, events } = embed('vectors')
  cancel()
  await pool.settlement.drained()
  expect(agent.types.at(-1)).toBe('cancel')
  expect(events).toEqual([])
  expect(pool.poolAdmin.counts()).toMatchObject({ requestsRunning: 0, slotsBusy: 0 })
})

test('an agent that did not list the feature is sent neither the model nor a job', async () => {
  const old = await connect('old', ['frames'])
  const { events } = embed('vectors')
  await pool.settlement.drained()
  expect(old.types).toEqual(['cancel'])
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'no_capable_agent' } }])
  expect(events[0]?.type === 'failed' && events[0].error.message).toContain(
    'does not do embeddings; its version is older',
  )
})

test('a model is not asked for what it is not, and the client hears where to ask', async () => {
  await connect('a')
  const rank: EmbedJob = { kind: 'rerank', query: 'q', documents: ['d'] }
  for (const { events } of [embed('tiny'), embed('vectors', rank)])
    expect(events).toMatchObject([{ type: 'failed', error: { code: 'unsupported' } }])
  expect(embed('tiny').events[0]).toMatchObject({
    error: {
      message: "The model 'tiny' cannot do this; it answers chats: POST /v1/chat/completions.",
    },
  })
  await database.store.removeModel('tiny')
  await database.store.addModel(embeddingModel('tiny', 2))
  await pool.poolAdmin.catalogueChanged()
  expect(askTiny(pool, now).events).toMatchObject([
    {
      type: 'failed',
      error: {
        code: 'unsupported',
        message: "The model 'tiny' cannot do this; it makes embeddings: POST /v1/embeddings.",
      },
    },
  ])
})

test('vectors are cut only where the operator said that they may be', async () => {
  await connect('a')
  const refused = ({ events }: ReturnType<typeof embed>) => events.map(({ type }) => type)
  expect(refused(embed('vectors', texts, 1))).toEqual(['failed'])
  expect(refused(embed('vectors', texts, 2))).toEqual([])
  for (const dimensions of [3, 9])
    expect(refused(embed('nested', texts, dimensions))).toEqual(['failed'])
  expect(refused(embed('nested', texts, 4))).toEqual([])
})

test('an answer that would be too large is refused before anybody computes it', async () => {
  await connect('a')
  const inputs = Array<string>(limits.inputsPerRequestMax).fill('a')
  const { events } = embed('wide', { kind: 'embedding', inputs, normalise: true })
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'payload_too_large' } }])
  expect(events[0]?.type === 'failed' && events[0].error.message).toContain('at most 512 inputs')
})

test('a model that does not exist is not found', async () => {
  await connect('a')
  const { events } = embed('nobody')
  await pool.settlement.drained()
  expect(events).toMatchObject([{ type: 'failed', error: { code: 'model_not_found' } }])
})

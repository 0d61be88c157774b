import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { pino } from 'pino'
import { FakeOpenAiServer, type FakeOptions } from '../../../test/support/fake-openai-server.ts'
import { systemClock } from '../../clock.ts'
import type { ExternalSource } from '../../models/external-model.ts'
import { chatJob } from '../engine/engine-harness.ts'
import type { EngineEvent } from '../engine/engine.ts'
import { processTimers, type Timers } from '../timers.ts'
import { ExternalEngines, lookIntervalMs } from './external-engines.ts'

let servers: FakeOpenAiServer[] = []
let engines: ExternalEngines | null = null
let changes = 0
let onChanged = () => {}
/** The wait for the next look, held until the test says so. */
let next: { ms: number; fire: () => void } | null = null
const timers: Timers = {
  after(ms, fire) {
    // The deadlines of questions are the process's.
    if (ms === 5_000) return processTimers.after(ms, fire)
    next = { ms, fire }
    return () => {}
  },
}

beforeEach(() => {
  servers = []
  changes = 0
  next = null
})
afterEach(async () => {
  engines?.stop()
  for (const server of servers) await server.stop()
})

function serve(options: FakeOptions = {}): FakeOpenAiServer {
  const server = new FakeOpenAiServer(options)
  servers.push(server)
  return server
}

async function enginesOn(
  urls: readonly string[],
  settings: { apiKey?: string; slots?: number } = {},
): Promise<ExternalEngines> {
  const { apiKey = null, slots = null } = settings
  engines = new ExternalEngines({
    settings: { urls, apiKey, slots },
    clock: systemClock,
    timers,
    log: pino({ level: 'silent' }),
    onChange: () => {
      changes++
      onChanged()
    },
  })
  await engines.look()
  return engines
}

const sourceOf = (modelId: string, fingerprint: string | null = null): ExternalSource => ({
  kind: 'external',
  modelId,
  fingerprint,
})

/** What is heard of a model until it is ready or has failed. */
function startOf(
  found: ExternalEngines,
  source: ExternalSource,
  contextTokens = 512,
): Promise<EngineEvent> {
  return new Promise(resolve => {
    const engine = found.start({ source, contextTokens }, event => {
      if (event.type === 'loading') return
      resolve(event)
      void engine.close()
    })
  })
}

describe('what an engine serves', () => {
  test('llama-server tells its context and its slots', async () => {
    const found = await enginesOn([serve({ kind: 'llama-server' }).url])
    expect(found.offers).toEqual([
      {
        modelId: 'demo',
        engine: 'llama-server',
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
        contextTokens: 1_024,
      },
    ])
    expect(await startOf(found, sourceOf('demo'))).toMatchObject({
      type: 'ready',
      slots: 4,
      contextTokens: 1_024,
    })
  })

  test('the owner’s number of slots counts, up to what the engine has', async () => {
    const { url } = serve()
    expect(await startOf(await enginesOn([url], { slots: 2 }), sourceOf('demo'))).toMatchObject({
      slots: 2,
    })
    expect(await startOf(await enginesOn([url], { slots: 9 }), sourceOf('demo'))).toMatchObject({
      slots: 4,
    })
  })

  test('vLLM tells its context; without a word about slots there is one', async () => {
    const found = await enginesOn([serve({ kind: 'vllm' }).url])
    expect(found.offers).toMatchObject([{ engine: 'vllm', contextTokens: 1_024 }])
    expect(await startOf(found, sourceOf('demo'))).toMatchObject({ slots: 1 })
  })

  test('Ollama tells a digest, and what it only passes on to another machine is not offered', async () => {
    const server = serve({ kind: 'ollama' })
    server.models = ['demo:1b', 'big-cloud']
    const found = await enginesOn([server.url])
    const [offer, ...others] = found.offers ?? []
    expect(others).toEqual([])
    expect(offer).toMatchObject({ modelId: 'demo:1b', engine: 'ollama', contextTokens: null })
    server.digest = 'sha256:5678'
    await found.look()
    expect(found.offers?.[0]?.fingerprint).not.toBe(offer?.fingerprint ?? '')
    expect(changes).toBe(2)
  })

  test('any other serves as well', async () => {
    const found = await enginesOn([serve({ kind: 'plain' }).url])
    expect(found.offers).toMatchObject([{ engine: 'unknown', contextTokens: null }])
    expect(await startOf(found, sourceOf('demo'))).toMatchObject({
      type: 'ready',
      contextTokens: 512,
    })
  })
})

test('a pool is told nothing of engines where the owner runs none', async () => {
  expect((await enginesOn([])).offers).toBeUndefined()
  expect(next).toBeNull()
})

test('several engines are offered together, and one that is down takes nothing from the others', async () => {
  const [one, two] = [serve(), serve({ kind: 'vllm' })]
  two.models = ['other']
  const found = await enginesOn([one.url, two.url])
  expect(found.offers?.map(({ modelId }) => modelId)).toEqual(['demo', 'other'])
  await one.stop()
  await found.look()
  expect(found.offers?.map(({ modelId }) => modelId)).toEqual(['other'])
  expect(found.overview).toMatchObject([
    { url: one.url, models: [], problem: expect.any(String) },
    { url: two.url, models: ['other'], problem: null },
  ])
})

test('an engine that is down is asked again ever more seldom, and offered again when it is back', async () => {
  const server = serve()
  const { port, url } = server
  await server.stop()
  const found = await enginesOn([url])
  expect(found.offers).toEqual([])
  const waits: (number | undefined)[] = []
  for (let i = 0; i < 7; i++) {
    waits.push(next?.ms)
    await found.look()
  }
  expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
  serve({ port })
  next?.fire()
  await found.look()
  expect(found.offers?.length).toBe(1)
  expect(next?.ms).toBe(lookIntervalMs)
})

test('a wrong key is a problem in words; the right one is sent', async () => {
  const { url } = serve({ apiKey: 'secret' })
  expect((await enginesOn([url])).overview[0]?.problem).toContain('HTTP status 401')
  expect((await enginesOn([url], { apiKey: 'secret' })).offers?.length).toBe(1)
})

test('something that is no such server is a problem in words', async () => {
  const other = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => Response.json([]) })
  const found = await enginesOn([`${other.url.origin}/v1`])
  await other.stop(true)
  expect(found.overview[0]?.problem).toContain('no list of models')
})

test('a model that no engine serves, or not with this fingerprint, is not loaded', async () => {
  const found = await enginesOn([serve().url])
  for (const source of [sourceOf('none'), sourceOf('demo', 'e'.repeat(64))])
    expect(await startOf(found, source)).toMatchObject({
      type: 'load_failed',
      error: { message: expect.stringContaining('no engine of this machine serves') },
    })
})

test('the pool hears at once when an engine has died under its work', async () => {
  const server = serve()
  const found = await enginesOn([server.url])
  const changed = new Promise<void>(resolve => (onChanged = resolve))
  const ready = Promise.withResolvers<void>()
  const died = Promise.withResolvers<void>()
  const engine = found.start({ source: sourceOf('demo'), contextTokens: 512 }, event => {
    if (event.type === 'ready') ready.resolve()
    if (event.type === 'died') died.resolve()
  })
  await ready.promise
  await server.stop()
  engine.run({ stream: 1, attempt: 0, chat: chatJob('hello'), continuation: null })
  await died.promise
  await changed
  expect(found.offers).toEqual([])
  await engine.close()
})

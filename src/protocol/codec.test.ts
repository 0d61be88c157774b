import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { decodeFromAgent, decodeFromServer, encodeServerMessage } from './codec.ts'
import { limits } from './limits.ts'
import { encodeTokenFrame } from './token-frame.ts'

const heartbeat = {
  type: 'heartbeat',
  sequence: 1,
  agent_id: '8e6d1c9e-5a0e-4f6f-9f57-0f4f6d6e2a11',
  status: 'available',
  current_load: 0.5,
  gpu_state: { temperature_c: 65, vram_used_mb: 4096, vram_total_mb: 8192, utilization_pct: 45 },
  gpus: [],
  network_latency_ms: 23,
  models_loaded: ['llama-7b-q4'],
}
const refusal = (reason: string) => ({ type: 'refusal', reason })

describe('what an agent sends', () => {
  test('the heartbeat of the specification is understood', () => {
    expect(decodeFromAgent(JSON.stringify(heartbeat))).toMatchObject(heartbeat)
  })

  test('a field that a newer agent adds is tolerated', () => {
    const newer = { ...heartbeat, moon_phase: 'full', gpu_state: null }
    expect(decodeFromAgent(JSON.stringify(newer))).toMatchObject({ type: 'heartbeat' })
  })

  test('a type that is not known is told apart from a broken message', () => {
    expect(decodeFromAgent('{"type":"dance"}')).toMatchObject(refusal('unknown_type'))
    expect(decodeFromAgent('{"type":"constructor"}')).toMatchObject(refusal('unknown_type'))
    for (const text of ['{}', 'null', '[]', '3', '{"type":7}'])
      expect(decodeFromAgent(text)).toMatchObject(refusal('invalid'))
    for (const text of ['', '{', 'hello'])
      expect(decodeFromAgent(text)).toMatchObject(refusal('not_json'))
  })

  test('a refusal says where the message is wrong, and does not repeat what it says', () => {
    const secret = 'the prompt of somebody'
    const wrong = decodeFromAgent(JSON.stringify({ ...heartbeat, current_load: secret }))
    expect(wrong).toMatchObject(refusal('invalid'))
    expect(JSON.stringify(wrong)).toContain('/current_load')
    expect(JSON.stringify(wrong)).not.toContain(secret)
  })

  test('numbers stay inside their bounds', () => {
    for (const current_load of [-0.1, 1.1, null, '0'])
      expect(decodeFromAgent(JSON.stringify({ ...heartbeat, current_load }))).toMatchObject(
        refusal('invalid'),
      )
  })

  test('a message over the limit is refused before it is parsed', () => {
    const big = `"${'x'.repeat(limits.controlMessageBytesMax)}"`
    expect(decodeFromAgent(big)).toMatchObject(refusal('too_large'))
  })

  test('an inventory may say what was measured, and figures that are none are refused', () => {
    const measured = {
      decode: { tokensPerS: 20, workPerToken: 1e8 },
      prefill: null,
      memoryUsableMb: null,
      threads: 4,
      busyCores: 0.5,
      engine: 'node-llama-cpp 3.22.1 cpu',
      atMs: 1,
      reason: 'no time for the rest',
    }
    const machine = { hostname: 'a', os: 'b', arch: 'c', memoryTotalMb: 1, gpus: [] }
    const cpu = { name: 'test', physicalCores: 1, logicalCores: 1, features: [] }
    const message = (change: object) => {
      const inventory = { ...machine, cpu: { ...cpu, measured: { ...measured, ...change } } }
      return JSON.stringify({ type: 'inventory', inventory })
    }
    expect(decodeFromAgent(message({}))).toEqual(JSON.parse(message({})))
    expect(decodeFromAgent(message({ moon_phase: 1 }))).toMatchObject({ type: 'inventory' })
    for (const wrong of [{ threads: 0 }, { decode: { tokensPerS: -1, workPerToken: 1 } }])
      expect(decodeFromAgent(message(wrong))).toMatchObject(refusal('invalid'))
    const gpus = Array.from({ length: limits.gpusPerAgentMax + 1 }, () => ({}))
    const many = { type: 'inventory', inventory: { ...machine, cpu, gpus } }
    expect(decodeFromAgent(JSON.stringify(many))).toMatchObject(refusal('invalid'))
  })

  test('external models may be none or many, and neither too many nor without a fingerprint', () => {
    const offer = { modelId: 'a', engine: 'x', fingerprint: 'f'.repeat(64), contextTokens: null }
    const message = (models: object[]) => JSON.stringify({ type: 'external_models', models })
    expect(decodeFromAgent(message([]))).toEqual({ type: 'external_models', models: [] })
    expect(decodeFromAgent(message([{ ...offer, moon_phase: 1 }]))).toMatchObject({
      models: [offer],
    })
    const many = Array.from({ length: limits.externalModelsPerAgentMax + 1 }, () => offer)
    for (const wrong of [many, [{ ...offer, fingerprint: 'f' }], [{ ...offer, contextTokens: 0 }]])
      expect(decodeFromAgent(message(wrong))).toMatchObject(refusal('invalid'))
  })

  test('a start may be without the prompt’s figures', () => {
    const started = {
      type: 'started',
      stream: 1,
      attempt: 0,
      promptTokens: null,
      promptSha256: null,
    }
    expect(decodeFromAgent(JSON.stringify(started))).toEqual(started as never)
  })

  test('binary data are token frames or a refusal', () => {
    const value = { stream: 1, attempt: 0, choice: 0, index: 0, tokenId: 5, segments: [] }
    expect(decodeFromAgent(encodeTokenFrame(value))).toEqual({
      type: 'tokens',
      frames: [{ type: 'token', ...value }],
    })
    expect(decodeFromAgent(new Uint8Array([1, 2, 3]))).toMatchObject(refusal('invalid'))
  })

  test('nothing makes it throw', () => {
    const values = fc.oneof(fc.json(), fc.string(), fc.uint8Array())
    fc.assert(
      fc.property(values, value => {
        expect(decodeFromAgent(value)).toHaveProperty('type')
        expect(decodeFromServer(value)).toHaveProperty('type')
      }),
    )
  })
})

test('a job for vectors comes back as it was, and one out of bounds is refused', () => {
  const id = '8e6d1c9e-5a0e-4f6f-9f57-0f4f6d6e2a11'
  const decoded = (embed: object) => {
    const message = {
      type: 'assign_embed',
      jobId: id,
      stream: 7,
      attempt: 1,
      instanceId: id,
      embed,
    }
    return [decodeFromServer(JSON.stringify(message)), message]
  }
  const texts = (inputs: unknown) => ({ kind: 'embedding', inputs, normalise: true })
  const documents = (query: unknown, list: unknown) => ({ kind: 'rerank', query, documents: list })
  const many = Array.from({ length: limits.inputsPerRequestMax + 1 }, () => 'a')
  for (const fine of [texts(['a', [1, 2]]), documents('q', ['', 'b']), texts(many.slice(1))]) {
    const [got, sent] = decoded(fine)
    expect(got).toEqual(sent as typeof got)
  }
  const wrongs = [
    texts([]),
    texts(['']),
    texts([[]]),
    texts([[-1]]),
    texts([[0.5]]),
    texts([[2 ** 32]]),
    texts(many),
    documents('', ['a']),
    documents('q', []),
    documents('q', many),
  ]
  for (const wrong of wrongs) expect(decoded(wrong)[0]).toMatchObject(refusal('invalid'))
})

test('what the server says comes back as it was', () => {
  const message = { type: 'cancel', stream: 7, attempt: 1 } as const
  expect(decodeFromServer(encodeServerMessage(message))).toEqual(message)
  expect(decodeFromServer(new Uint8Array(3))).toMatchObject(refusal('unknown_type'))
})

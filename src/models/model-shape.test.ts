import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import fc from 'fast-check'
import { Compile } from 'typebox/compile'
import { readGgufHeader, type GgufHeader, type GgufTensor } from './gguf-header.ts'
import type { GgufValue } from './gguf-value.ts'
import { memoryNeed } from './memory-need.ts'
import { defaultCacheTypes } from './memory-need-request.ts'
import { modelShape } from './model-shape.ts'
import { ModelShapeSchema, type ModelShape } from './model-shape-schema.ts'
import { architectureRules } from './model-shape-architectures.ts'

const demoPath = join(import.meta.dir, '../../models/demo/gpupool-demo.gguf')

function headerOf(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensor[] = [],
): GgufHeader {
  return { version: 3, metadata: new Map(Object.entries(metadata)), tensors, fileBytes: 0 }
}

function shapeOf(header: GgufHeader): ModelShape {
  const shape = modelShape(header)
  if (typeof shape === 'string') throw new Error(shape)
  return shape
}

/** Keys without the architecture's name before them. */
function metadataOf(
  architecture: string,
  values: Readonly<Record<string, GgufValue>>,
): Record<string, GgufValue> {
  const own = {
    block_count: 6,
    context_length: 8192,
    embedding_length: 512,
    vocab_size: 1000,
    'attention.head_count': 8,
    ...values,
  }
  return {
    'general.architecture': architecture,
    ...Object.fromEntries(
      Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value]),
    ),
  }
}

const windowsOf = (shape: ModelShape): readonly (boolean | null)[] =>
  shape.layers.map(({ attention }) => attention?.windowed ?? null)

test('the demo model is what its maker says', () => {
  const header = readGgufHeader(demoPath)
  if (typeof header === 'string') throw new Error(header)
  const shape = shapeOf(header)
  expect(shape).toMatchObject({
    architecture: 'llama',
    measured: true,
    contextTokensTrained: 1024,
    embedding: 256,
    vocabulary: 2048,
    tiedEmbeddings: true,
    windowTokens: null,
  })
  expect(shape.layers.length).toBe(6)
  expect(shape.layers[0]?.attention).toMatchObject({ heads: 4, kvHeads: 2, keySize: 64 })
  expect(shape.weights.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(
    header.tensors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  )
})

describe('layers', () => {
  test('heads without a figure for keys and values have their own, and even sizes', () => {
    const shape = shapeOf(headerOf(metadataOf('llama', {})))
    expect(shape.layers[3]?.attention).toEqual({
      heads: 8,
      kvHeads: 8,
      keySize: 64,
      valueSize: 64,
      windowed: false,
      cached: true,
      latent: null,
    })
  })

  test('a list gives every layer its own number of heads', () => {
    const values = { 'attention.head_count_kv': [8, 4, 2, 1, 2, 4] }
    const shape = shapeOf(headerOf(metadataOf('openelm', values)))
    expect(shape.layers.map(({ attention }) => attention?.kvHeads)).toEqual([8, 4, 2, 1, 2, 4])
  })

  test('of six Gemma 3 layers the last sees everything; of a given period the last of each', () => {
    const window = { 'attention.sliding_window': 1024 }
    const six = shapeOf(headerOf(metadataOf('gemma3', window)))
    expect(six.windowTokens).toBe(1024)
    expect(windowsOf(six)).toEqual([true, true, true, true, true, false])
    const values = { ...window, 'attention.sliding_window_pattern': 3 }
    const three = shapeOf(headerOf(metadataOf('gemma3', values)))
    expect(windowsOf(three)).toEqual([true, true, false, true, true, false])
  })

  test('a list of windows counts before any period', () => {
    const shape = shapeOf(
      headerOf(
        metadataOf('gpt-oss', {
          'attention.sliding_window': 128,
          'attention.sliding_window_pattern': [false, true, true, false, true, false],
        }),
      ),
    )
    expect(windowsOf(shape)).toEqual([false, true, true, false, true, false])
  })

  test('SmallThinker begins with a layer that sees everything; Phi 3 has no window whatever it says', () => {
    const window = { 'attention.sliding_window': 2048 }
    const small = shapeOf(headerOf(metadataOf('smallthinker', window)))
    expect(small.windowTokens).toBe(4096)
    expect(windowsOf(small)).toEqual([false, true, true, true, false, true])
    expect(shapeOf(headerOf(metadataOf('phi3', window))).windowTokens).toBeNull()
  })

  test('layers of a hybrid without key/value heads have a state instead', () => {
    const shape = shapeOf(
      headerOf(
        metadataOf('granitehybrid', {
          'attention.head_count_kv': [0, 0, 4, 0, 0, 4],
          'ssm.conv_kernel': 4,
          'ssm.inner_size': 1024,
          'ssm.state_size': 128,
          'ssm.group_count': 1,
          'ssm.time_step_rank': 16,
        }),
      ),
    )
    expect(shape.layers.map(({ attention }) => attention !== null)).toEqual([
      false,
      false,
      true,
      false,
      false,
      true,
    ])
    expect(shape.layers[0]?.state).toEqual({
      kind: 'mamba',
      shiftElements: 3 * (1024 + 2 * 128),
      stateElements: 128 * 1024,
      projected: 1024 + 1280 + 16,
      convolved: 1280,
      inner: 1024,
    })
    expect(shape.layers[2]?.state).toBeNull()
  })

  test('Mamba has no heads at all', () => {
    const values = metadataOf('mamba', {
      'ssm.conv_kernel': 4,
      'ssm.inner_size': 1024,
      'ssm.state_size': 16,
    })
    delete values['mamba.attention.head_count']
    const shape = shapeOf(headerOf(values))
    expect(shape.layers.every(({ attention, state }) => attention === null && state !== null)).toBe(
      true,
    )
  })

  test('Gemma 4 shares the cache of its last layers, and windowed layers have heads of their own size', () => {
    const shape = shapeOf(
      headerOf(
        metadataOf('gemma4', {
          'attention.key_length': 512,
          'attention.value_length': 512,
          'attention.key_length_swa': 256,
          'attention.value_length_swa': 256,
          'attention.sliding_window': 512,
          'attention.sliding_window_pattern': [true, true, false, true, true, false],
          'attention.shared_kv_layers': 2,
        }),
      ),
    )
    expect(shape.layers.map(({ attention }) => attention?.keySize)).toEqual([
      256, 256, 512, 256, 256, 512,
    ])
    expect(shape.layers.map(({ attention }) => attention?.cached)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
    ])
  })

  test('layers that only guess ahead are not loaded', () => {
    const tensor = (name: string): GgufTensor => ({
      name,
      type: 0,
      dimensions: [512],
      elements: 512,
      offsetBytes: 0,
      sizeBytes: 2048,
    })
    const header = headerOf(metadataOf('glm4moe', { nextn_predict_layers: 1 }), [
      tensor('blk.4.attn_norm.weight'),
      tensor('blk.5.attn_norm.weight'),
    ])
    const shape = shapeOf(header)
    expect(shape.layers[5]?.attention).toBeNull()
    expect(shape.weights.map(({ layer }) => layer)).toEqual([4])
  })
})

describe('refuses with a reason', () => {
  const cases: readonly (readonly [string, Record<string, GgufValue>, string])[] = [
    ['an architecture nobody described', metadataOf('skynet', {}), '"skynet" is not known'],
    ['an encoder', metadataOf('bert', {}), '"bert" is not known'],
    ['no layers', metadataOf('llama', { block_count: 0 }), 'must not be 0'],
    ['2^40 layers', metadataOf('llama', { block_count: 2 ** 40 }), 'from 0 to 512'],
    ['half a layer', metadataOf('llama', { block_count: 1.5 }), 'from 0 to 512'],
    ['a text as a number', metadataOf('llama', { embedding_length: 'x' }), 'embedding_length must'],
    ['a big integer', metadataOf('llama', { context_length: 2n ** 60n }), 'context_length must'],
    [
      'a negative head count',
      metadataOf('llama', { 'attention.head_count': -1 }),
      'head_count must',
    ],
    [
      'a list that is too short',
      metadataOf('llama', { 'attention.head_count_kv': [1, 2] }),
      'for each of 6 layers',
    ],
    ['a window that must be there', metadataOf('cohere2', {}), 'sliding_window is missing'],
    [
      'a period where a list must be',
      metadataOf('gemma4', {
        'attention.sliding_window': 512,
        'attention.sliding_window_pattern': 6,
      }),
      'must be a list',
    ],
    ['a hybrid without its state', metadataOf('mamba2', {}), 'ssm.inner_size is missing'],
  ]
  for (const [what, metadata, reason] of cases)
    test(what, () => {
      expect(modelShape(headerOf(metadata))).toContain(reason)
    })
})

const schema = Compile(ModelShapeSchema)

test('no header, however hostile, makes it throw or give a need that is no number', () => {
  const value = fc.oneof(
    fc.integer(),
    fc.nat(2_000_000),
    fc.nat(64),
    fc.double(),
    fc.bigInt(),
    fc.string(),
    fc.boolean(),
    fc.array(fc.oneof(fc.nat(64), fc.boolean(), fc.string()), { maxLength: 8 }),
  )
  const keys = [
    'block_count',
    'embedding_length',
    'context_length',
    'vocab_size',
    'expert_count',
    'expert_used_count',
    'nextn_predict_layers',
    'full_attention_interval',
    'attention.head_count',
    'attention.head_count_kv',
    'attention.key_length',
    'attention.value_length',
    'attention.key_length_mla',
    'attention.value_length_mla',
    'attention.sliding_window',
    'attention.sliding_window_pattern',
    'attention.recurrent_layers',
    'attention.shared_kv_layers',
    'ssm.conv_kernel',
    'ssm.inner_size',
    'ssm.state_size',
    'ssm.group_count',
    'shortconv.l_cache',
    'wkv.head_size',
  ] as const
  const hostile = fc.dictionary(fc.constantFrom(...keys), value)
  const tensors = fc.array(
    fc.record({
      name: fc.constantFrom('blk.0.ffn_down.weight', 'blk.9999.ffn_down_exps.weight', 'x', 'blk.'),
      type: fc.nat(50),
      dimensions: fc.array(fc.maxSafeNat(), { maxLength: 4 }),
      elements: fc.maxSafeNat(),
      offsetBytes: fc.maxSafeNat(),
      sizeBytes: fc.maxSafeNat(),
    }),
    { maxLength: 5 },
  )
  let understood = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...architectureRules.keys()),
      hostile,
      tensors,
      fc.option(fc.nat(600)),
      (architecture, values, list, gpuLayers) => {
        const shape = modelShape(headerOf(metadataOf(architecture, values), list))
        if (typeof shape === 'string') return
        understood++
        // What is kept in the catalogue and read back is the same.
        expect(schema.Errors(shape)).toEqual([])
        expect(JSON.parse(JSON.stringify(shape))).toEqual(shape)
        const need = memoryNeed({
          shape,
          contextTokensPerSlot: 4096,
          slots: 2,
          batchTokens: 512,
          cacheTypes: defaultCacheTypes,
          flashAttention: true,
          gpuLayers,
        })
        if (typeof need === 'string') throw new Error(need)
        for (const bytes of [...Object.values(need.gpu), ...Object.values(need.cpu)])
          expect(Number.isFinite(bytes) && bytes >= 0).toBe(true)
        expect(need.fileCacheBytes).toBeGreaterThanOrEqual(0)
      },
    ),
    { numRuns: 2000, seed: 7 },
  )
  expect(understood).toBeGreaterThan(100)
})

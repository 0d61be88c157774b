import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { contextThatFits, layersThatFit, memoryNeed, type MemoryNeed } from './memory-need.ts'
import { defaultCacheTypes, memoryLimits, type MemoryRequest } from './memory-need-request.ts'
import { embeddingTable, layerWeights, type PlacedTensor } from './layer-weights.ts'
import type { AttentionShape, LayerShape, ModelShape, StateShape } from './model-shape-schema.ts'

const mebibyte = 1024 ** 2

const attention: AttentionShape = {
  heads: 8,
  kvHeads: 4,
  keySize: 64,
  valueSize: 64,
  windowed: false,
  cached: true,
  latent: null,
}
const dense: LayerShape = {
  attention,
  state: null,
  feedForward: 1024,
  expertFeedForward: 0,
  expertsUsed: 0,
}
const f32 = 0
const q4_K = 12
const q8_0 = 8

const tensor = (layer: number, bytes: number, offsetBytes: number, type = q8_0): PlacedTensor => ({
  layer,
  type,
  bytes,
  offsetBytes,
  matrixRows: 512,
  ofExperts: false,
})

const loaded = (tensors: readonly PlacedTensor[]) => ({
  weights: layerWeights(tensors),
  embeddingTable: embeddingTable(tensors),
})

/** Input of 600, two layers of 1000, output of 700 bytes. */
const shape: ModelShape = {
  architecture: 'llama',
  measured: true,
  contextTokensTrained: 8192,
  embedding: 512,
  vocabulary: 1000,
  tiedEmbeddings: false,
  experts: 0,
  windowTokens: null,
  layers: [dense, dense],
  ...loaded([
    tensor(-1, 600, 0),
    tensor(2, 700, 600),
    tensor(0, 1000, 1300),
    tensor(1, 1000, 2300),
  ]),
}

const request: MemoryRequest = {
  shape,
  contextTokensPerSlot: 1000,
  slots: 2,
  batchTokens: 256,
  cacheTypes: defaultCacheTypes,
  flashAttention: true,
  gpuLayers: null,
}

function needOf(changes: Partial<MemoryRequest>): MemoryNeed {
  const need = memoryNeed({ ...request, ...changes })
  if (typeof need === 'string') throw new Error(need)
  return need
}

const ofLayers = (layers: readonly LayerShape[], rest: Partial<ModelShape> = {}): MemoryNeed =>
  needOf({ shape: { ...shape, layers: [...layers], ...rest } })

describe('computed by hand', () => {
  test('a plain model on the CPU', () => {
    const { cpu, gpu, fileCacheBytes } = needOf({})
    // 2 layers × 2 slots × 1024 cells × (4 × 64 keys + 4 × 64 values) × 2 bytes
    expect(cpu.kvCacheBytes).toBe(4_194_304)
    // masks 1024 × 256 × 2, gate, up and product 3 × 256 × 1024 × 4, and 4 vectors of 256 × 512 × 4
    expect(cpu.computeBytes).toBe(524_288 + 3_145_728 + 2_097_152)
    expect(cpu.weightsBytes).toBe(3300)
    expect(cpu.outputBytes).toBe(1000 * 2 * 4)
    expect(cpu.totalBytes).toBe(4_194_304 + 5_767_168 + 3300 + 8000)
    expect(gpu.totalBytes).toBe(0)
    expect(fileCacheBytes).toBe(0)
  })

  test('a large vocabulary: logits of the whole batch', () => {
    // 256 × 200,000 × 4, and 3 vectors
    expect(needOf({ shape: { ...shape, vocabulary: 200_000 } }).cpu.computeBytes).toBe(
      204_800_000 + 1_572_864,
    )
  })

  test('without flash attention: scores of 8 heads for every cell, and masks twice as wide', () => {
    // masks 1024 × 256 × 4, scores 8 × 1024 × 256 × 4, 3 vectors, and queries, keys, values 256 × 1536 × 4
    expect(needOf({ flashAttention: false }).cpu.computeBytes).toBe(
      1_048_576 + 8_388_608 + 1_572_864 + 1_572_864,
    )
  })

  test('without flash attention all layers store values as wide as the widest', () => {
    const wide: LayerShape = { ...dense, attention: { ...attention, valueSize: 128 } }
    const mixed = { ...shape, layers: [dense, wide] }
    const perLayer = 2 * 1024 * 2
    expect(needOf({ shape: mixed }).cpu.kvCacheBytes).toBe(perLayer * (256 + 256 + 256 + 512))
    expect(needOf({ shape: mixed, flashAttention: false }).cpu.kvCacheBytes).toBe(
      perLayer * (256 + 512 + 256 + 512),
    )
  })

  test('a quantised cache: 34 bytes for 32 elements', () => {
    const cacheTypes = { keys: q8_0, values: q8_0 }
    expect(needOf({ cacheTypes }).cpu.kvCacheBytes).toBe((2 * 2 * 1024 * 512 * 34) / 32)
  })

  test('a window: its tokens and a batch, rounded up to 256, never more than the whole', () => {
    const windowed: LayerShape = { ...dense, attention: { ...attention, windowed: true } }
    const need = needOf({
      contextTokensPerSlot: 4096,
      shape: { ...shape, layers: [dense, windowed], windowTokens: 512 },
    })
    // 512 + 256 + 1 more that node-llama-cpp asks for: 769 → 1024 cells
    expect(need.cpu.kvCacheBytes).toBe(2 * (4096 + 1024) * 512 * 2)
    const all = ofLayers([dense, windowed], { windowTokens: 4096 })
    expect(all.cpu.kvCacheBytes).toBe(2 * (1024 + 1024) * 512 * 2)
  })

  test('a latent cache has keys only', () => {
    const latent: LayerShape = {
      ...dense,
      attention: {
        ...attention,
        kvHeads: 1,
        keySize: 576,
        valueSize: 512,
        latent: { keySize: 192, valueSize: 128 },
      },
    }
    expect(ofLayers([latent]).cpu.kvCacheBytes).toBe(2 * 1024 * 576 * 2)
  })

  test('a state is the same for any context, and layers that share a cache cost nothing', () => {
    const state: StateShape = {
      kind: 'mamba',
      shiftElements: 3840,
      stateElements: 131_072,
      projected: 2320,
      convolved: 1280,
      inner: 1024,
    }
    const layers = [
      { ...dense, attention: null, state },
      { ...dense, attention: { ...attention, cached: false } },
    ]
    const expected = 2 * (3840 + 131_072) * 4
    expect(ofLayers(layers).cpu.kvCacheBytes).toBe(expected)
    const long = needOf({ contextTokensPerSlot: 8192, shape: { ...shape, layers } })
    expect(long.cpu.kvCacheBytes).toBe(expected)
  })

  test('experts: what all the chosen ones hold for each token', () => {
    const experts: LayerShape = {
      ...dense,
      feedForward: 0,
      expertFeedForward: 768,
      expertsUsed: 8,
    }
    // masks, 3 × 256 × 8 × 768 × 4, 4 vectors
    expect(ofLayers([experts]).cpu.computeBytes).toBe(524_288 + 18_874_368 + 2_097_152)
  })
})

describe('where it lies', () => {
  test('the output goes to the GPU first, then layers from the last, the input never', () => {
    const weights = [0, 1, 2, 3, 99].map(gpuLayers => {
      const { gpu, cpu, fileCacheBytes } = needOf({ gpuLayers })
      return [gpu.weightsBytes, cpu.weightsBytes, fileCacheBytes]
    })
    expect(weights).toEqual([
      [0, 3300, 0],
      // The output lies between input and layers in the file, which stays mapped from the first to the last.
      [700, 2600, 700],
      [1700, 1600, 700],
      [2700, 600, 0],
      [2700, 600, 0],
    ])
  })

  test('cache and compute follow their layer', () => {
    const half = needOf({ gpuLayers: 2 })
    expect(half.gpu.kvCacheBytes).toBe(2_097_152)
    expect(half.cpu.kvCacheBytes).toBe(2_097_152)
    const full = needOf({ gpuLayers: 3 })
    expect(full.gpu.kvCacheBytes).toBe(4_194_304)
    expect(full.gpu.computeBytes).toBe(5_767_168)
    // On the CPU remain masks and two vectors.
    expect(full.cpu.computeBytes).toBe(524_288 + 2 * 524_288)
    expect(full.cpu.outputBytes).toBe(8000)
  })

  test('a GPU computes for layers of the CPU too, with copies of their largest weight', () => {
    const { gpu } = needOf({ gpuLayers: 2 })
    expect(gpu.computeBytes).toBe(5_767_168 + 2 * 1000)
  })

  test('a tied embedding is copied for an output on the GPU', () => {
    const tied = { ...shape, tiedEmbeddings: true }
    expect(needOf({ shape: tied }).cpu.weightsBytes).toBe(3300)
    expect(needOf({ shape: tied, gpuLayers: 1 }).gpu.weightsBytes).toBe(700 + 600)
  })

  test('4-bit weights are copied for the CPU: the file stays mapped, but counts once', () => {
    const tensors = [
      tensor(-1, 600, 0, q4_K),
      tensor(0, 1000, 600, q4_K),
      { ...tensor(1, 100, 1600, f32), matrixRows: null },
    ]
    const { cpu, fileCacheBytes } = needOf({ shape: { ...shape, ...loaded(tensors) } })
    expect(cpu.weightsBytes).toBe(1700)
    expect(fileCacheBytes).toBe(1000)
  })
})

describe('refuses with a reason', () => {
  const cases: readonly (readonly [string, Partial<MemoryRequest>, string])[] = [
    ['no slots', { slots: 0 }, '1 to 256 slots'],
    ['more slots than the engine has', { slots: 257 }, '1 to 256 slots'],
    ['no context', { contextTokensPerSlot: 0 }, 'a slot must have'],
    ['a context that is no number', { contextTokensPerSlot: Number.NaN }, 'a slot must have'],
    ['a giant batch', { batchTokens: memoryLimits.batchTokensMax + 1 }, 'a batch must have'],
    ['less than no layers', { gpuLayers: -1 }, 'layers on the GPU'],
    ['an unknown type', { cacheTypes: { keys: 99, values: 1 } }, 'type of the cache is unknown'],
    [
      'quantised values without flash attention',
      { cacheTypes: { keys: 1, values: q8_0 }, flashAttention: false },
      'only with flash attention',
    ],
    [
      'heads that are no whole blocks',
      { cacheTypes: { keys: q4_K, values: 1 } },
      'cannot be stored as Q4_K',
    ],
  ]
  for (const [what, changes, reason] of cases)
    test(what, () => {
      expect(memoryNeed({ ...request, ...changes })).toContain(reason)
    })
})

describe('properties', () => {
  const layer = fc.record({
    attention: fc.record({
      heads: fc.integer({ min: 1, max: 128 }),
      kvHeads: fc.integer({ min: 1, max: 16 }),
      keySize: fc.constantFrom(64, 128, 576),
      valueSize: fc.constantFrom(64, 128, 512),
      windowed: fc.boolean(),
      cached: fc.boolean(),
      latent: fc.option(fc.constant({ keySize: 192, valueSize: 128 })),
    }),
    state: fc.option(
      fc.record({
        kind: fc.constantFrom('mamba', 'delta', 'convolution', 'rwkv'),
        shiftElements: fc.nat(50_000),
        stateElements: fc.nat(1_000_000),
        projected: fc.nat(20_000),
        convolved: fc.integer({ min: 8000, max: 16_000 }),
        inner: fc.nat(8000),
      }),
    ),
    feedForward: fc.nat(20_000),
    expertFeedForward: fc.nat(4000),
    expertsUsed: fc.nat(16),
  })
  const anyRequest = fc
    .record({
      layers: fc.array(layer, { minLength: 1, maxLength: 12 }),
      embedding: fc.integer({ min: 64, max: 8192 }),
      vocabulary: fc.integer({ min: 1, max: 300_000 }),
      windowTokens: fc.option(fc.integer({ min: 1, max: 8192 })),
      tiedEmbeddings: fc.boolean(),
      weightBytes: fc.nat(100 * mebibyte),
      contextTokensPerSlot: fc.integer({ min: 1, max: 131_072 }),
      slots: fc.integer({ min: 1, max: 32 }),
      batchTokens: fc.integer({ min: 1, max: 2048 }),
      flashAttention: fc.boolean(),
      gpuLayers: fc.option(fc.nat(14)),
    })
    .map(
      ({ weightBytes, layers, embedding, vocabulary, windowTokens, tiedEmbeddings, ...rest }) => {
        const tensors = Array.from({ length: layers.length + 2 }, (_, at) =>
          tensor(at - 1, weightBytes, at * weightBytes),
        )
        return {
          ...request,
          ...rest,
          shape: {
            ...shape,
            layers,
            embedding,
            vocabulary,
            windowTokens,
            tiedEmbeddings,
            ...loaded(tensors),
            contextTokensTrained: 131_072,
          },
        } satisfies MemoryRequest
      },
    )
  const totalOf = (asked: MemoryRequest): number => {
    const need = memoryNeed(asked)
    if (typeof need === 'string') throw new Error(need)
    return need.gpu.totalBytes + need.cpu.totalBytes
  }
  const options = { numRuns: 500, seed: 11 }

  test('more context, slots, batch, vocabulary or layers never need less', () => {
    fc.assert(
      fc.property(anyRequest, fc.integer({ min: 1, max: 1000 }), (asked, more) => {
        const before = totalOf(asked)
        const { contextTokensPerSlot, slots, batchTokens } = asked
        expect(
          totalOf({ ...asked, contextTokensPerSlot: contextTokensPerSlot + more }),
        ).toBeGreaterThanOrEqual(before)
        expect(totalOf({ ...asked, slots: slots + (more % 64) })).toBeGreaterThanOrEqual(before)
        expect(totalOf({ ...asked, batchTokens: batchTokens + more })).toBeGreaterThanOrEqual(
          before,
        )
        const vocabulary = asked.shape.vocabulary + more
        expect(totalOf({ ...asked, shape: { ...asked.shape, vocabulary } })).toBeGreaterThan(before)
        const onCpu = { ...asked, gpuLayers: null }
        const layers = [...asked.shape.layers, ...asked.shape.layers.slice(0, 1)]
        expect(totalOf({ ...onCpu, shape: { ...asked.shape, layers } })).toBeGreaterThanOrEqual(
          totalOf(onCpu),
        )
      }),
      options,
    )
  })

  test('every weight lies on exactly one side, whatever is offloaded', () => {
    fc.assert(
      fc.property(anyRequest, asked => {
        const untied = { ...asked, shape: { ...asked.shape, tiedEmbeddings: false } }
        const need = memoryNeed(untied)
        if (typeof need === 'string') throw new Error(need)
        expect(need.gpu.weightsBytes + need.cpu.weightsBytes).toBe(
          asked.shape.weights.reduce((sum, { bytes }) => sum + bytes, 0),
        )
      }),
      options,
    )
  })

  test('the context that fits fits, and 256 tokens more do not', () => {
    fc.assert(
      fc.property(anyRequest, fc.nat(), fc.nat(), (asked, gpuBytes, cpuBytes) => {
        const available = { gpuBytes: gpuBytes * 8, cpuBytes: cpuBytes * 8 }
        const fits = (contextTokensPerSlot: number): boolean => {
          const need = memoryNeed({ ...asked, contextTokensPerSlot })
          return (
            typeof need !== 'string' &&
            need.gpu.totalBytes <= available.gpuBytes &&
            need.cpu.totalBytes <= available.cpuBytes
          )
        }
        const tokens = contextThatFits(asked, available)
        if (tokens > 0) expect(fits(tokens)).toBe(true)
        if (tokens < asked.shape.contextTokensTrained) expect(fits(tokens + 256)).toBe(false)
      }),
      options,
    )
  })

  test('the layers that fit fit, and one more does not', () => {
    fc.assert(
      fc.property(anyRequest, fc.nat(), (asked, vram) => {
        const fits = (gpuLayers: number): boolean => {
          const need = memoryNeed({ ...asked, gpuLayers })
          return typeof need !== 'string' && need.gpu.totalBytes <= vram
        }
        const layers = layersThatFit(asked, vram)
        if (layers !== null) expect(fits(layers)).toBe(true)
        if ((layers ?? -1) <= asked.shape.layers.length)
          expect(fits((layers ?? -1) + 1)).toBe(false)
      }),
      options,
    )
  })
})

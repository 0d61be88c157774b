import { denseModel, weightTypes } from '../../src/models/synthetic-gguf-dense.ts'
import type { SyntheticModel } from '../../src/models/synthetic-gguf.ts'
import {
  deltaModel,
  expertsModel,
  hybridModel,
  latentModel,
  windowModel,
} from '../../test/support/synthetic-gguf-shapes.ts'
import type { MeasureOrder } from './measure-order.ts'

/** One model, loaded in one way. */
export type MemoryCase = Omit<MeasureOrder, 'modelPath' | 'gpuLayers'> & {
  readonly name: string
  /** Null: the demo model of this repository. */
  readonly model: SyntheticModel | null
  /** Weights of the large one are a hole: nobody needs gigabytes of random numbers. */
  readonly weights: 'random' | 'hole'
  readonly layers: number
}

const small = {
  layers: 4,
  embedding: 1024,
  heads: 16,
  kvHeads: 16,
  headSize: 64,
  feedForward: 2816,
  vocabulary: 32_000,
  contextTokens: 32_768,
  type: weightTypes.q8_0,
} as const
const grouped = { ...small, kvHeads: 4 } as const
/** Few tokens to choose from: what the layers hold is more than the logits, and is what gets compared. */
const fewTokens = { vocabulary: 2000 } as const

const usual = {
  weights: 'random',
  contextTokensPerSlot: 4096,
  slots: 2,
  batchTokens: 512,
  cacheType: 'F16',
  flashAttention: true,
  layers: small.layers,
} as const

export const demoCase: MemoryCase = {
  ...usual,
  name: 'the demo model',
  model: null,
  contextTokensPerSlot: 1024,
  slots: 4,
  layers: 6,
}

/** Small enough for a test: 8 MB of weights. */
export const smallCase: MemoryCase = {
  ...usual,
  name: 'windows, small',
  model: windowModel({
    ...grouped,
    layers: 6,
    embedding: 256,
    heads: 4,
    kvHeads: 2,
    feedForward: 1024,
    vocabulary: 8000,
    window: 512,
  }),
  layers: 6,
  batchTokens: 256,
}

const states = { state: 128, groups: 1, stateHeads: 32, attentionEvery: 4 } as const

export const memoryCases: readonly MemoryCase[] = [
  demoCase,
  smallCase,
  { ...usual, name: 'dense', model: denseModel(small) },
  {
    ...usual,
    name: 'dense, no flash attention',
    model: denseModel(small),
    flashAttention: false,
  },
  {
    ...usual,
    name: 'grouped queries, long',
    model: denseModel(grouped, { tied: true }),
    contextTokensPerSlot: 32_768,
    slots: 1,
  },
  {
    ...usual,
    name: 'grouped queries, 16 slots',
    model: denseModel(grouped, { tied: true }),
    contextTokensPerSlot: 2000,
    slots: 16,
  },
  {
    ...usual,
    name: 'quantised cache',
    model: denseModel(grouped, { tied: true }),
    cacheType: 'Q8_0',
    contextTokensPerSlot: 16_384,
  },
  {
    ...usual,
    name: 'wide feed-forward',
    model: denseModel({
      ...grouped,
      ...fewTokens,
      embedding: 1536,
      headSize: 96,
      feedForward: 9216,
    }),
  },
  {
    ...usual,
    name: 'wide heads',
    model: denseModel({ ...grouped, ...fewTokens, headSize: 192, feedForward: 1536 }),
    slots: 3,
  },
  {
    ...usual,
    name: 'experts',
    model: expertsModel({ ...grouped, ...fewTokens, feedForward: 768, experts: 16, used: 8 }),
  },
  {
    ...usual,
    name: 'windows',
    model: windowModel({ ...grouped, layers: 12, window: 512 }),
    layers: 12,
    contextTokensPerSlot: 16_384,
  },
  {
    ...usual,
    name: 'latent cache, experts',
    model: latentModel({
      ...small,
      ...fewTokens,
      headSize: 128,
      latent: 512,
      rope: 64,
      experts: 16,
      used: 6,
      expertFeedForward: 768,
    }),
  },
  {
    ...usual,
    name: 'states and attention',
    model: hybridModel({ ...small, ...fewTokens, ...states, layers: 8 }),
    layers: 8,
  },
  {
    ...usual,
    name: 'delta rule and attention',
    model: deltaModel({
      ...grouped,
      ...fewTokens,
      ...states,
      layers: 8,
      groups: 16,
      headSize: 128,
      heads: 8,
    }),
    layers: 8,
  },
  {
    ...usual,
    name: 'large vocabulary',
    model: denseModel(
      { ...small, embedding: 512, headSize: 32, vocabulary: 262_144 },
      { tied: true },
    ),
  },
  {
    ...usual,
    name: '4-bit, copied for the CPU',
    model: denseModel({ ...grouped, type: weightTypes.q4_K, vocabulary: 65_536 }, { tied: true }),
  },
  {
    ...usual,
    name: '3 billion, 6-bit',
    weights: 'hole',
    model: denseModel(
      {
        layers: 28,
        embedding: 3072,
        heads: 24,
        kvHeads: 8,
        headSize: 128,
        feedForward: 8192,
        vocabulary: 128_256,
        contextTokens: 131_072,
        type: weightTypes.q6_K,
      },
      { tied: true },
    ),
    layers: 28,
    contextTokensPerSlot: 8192,
    batchTokens: 256,
  },
]

import type {
  SyntheticModel,
  SyntheticTensor,
  SyntheticValue,
} from '../../src/models/synthetic-gguf.ts'
import { denseModel, weight, weightTypes } from '../../src/models/synthetic-gguf-dense.ts'

/** Values of `{architecture}.pooling_type`. */
export const pooling = { none: 0, mean: 1, cls: 2, last: 3, rank: 4 } as const

const size = {
  layers: 2,
  embedding: 64,
  heads: 4,
  kvHeads: 4,
  headSize: 16,
  feedForward: 128,
  vocabulary: 300,
  contextTokens: 64,
  type: weightTypes.f32,
} as const

export const embeddingDimensions = size.embedding
export const contextTokensTrained = size.contextTokens

/** A decoder with pooling, like the embedding models that are made from language models. Weights are random. */
export function pooledDecoder(poolingType: number): SyntheticModel {
  const { metadata, tensors } = denseModel(size)
  return { metadata: new Map([...metadata, ['llama.pooling_type', { u32: poolingType }]]), tensors }
}

/** An encoder of BERT's kind, with the head of a reranker where pooling is `rank`. Weights are random. */
export function encoder(poolingType: number): SyntheticModel {
  const words = Array.from({ length: 26 }, (_, i) => String.fromCharCode(0x61 + i))
  const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...words.map(word => `▁${word}`), ...words]
  const { embedding, layers, contextTokens } = size
  const metadata = new Map<string, SyntheticValue>([
    ['general.architecture', { text: 'bert' }],
    ['bert.context_length', { u32: contextTokens }],
    ['bert.embedding_length', { u32: embedding }],
    ['bert.block_count', { u32: layers }],
    ['bert.feed_forward_length', { u32: size.feedForward }],
    ['bert.attention.head_count', { u32: size.heads }],
    ['bert.attention.layer_norm_epsilon', { f32: 1e-12 }],
    ['bert.attention.causal', { flag: false }],
    ['bert.pooling_type', { u32: poolingType }],
    ['tokenizer.ggml.model', { text: 'bert' }],
    ['tokenizer.ggml.tokens', { texts: tokens }],
    ['tokenizer.ggml.scores', { f32s: tokens.map(() => 0) }],
    ['tokenizer.ggml.token_type', { i32s: tokens.map((_, token) => (token < 4 ? 3 : 1)) }],
    ['tokenizer.ggml.token_type_count', { u32: 2 }],
    ['tokenizer.ggml.unknown_token_id', { u32: 1 }],
    ['tokenizer.ggml.bos_token_id', { u32: 2 }],
    ['tokenizer.ggml.cls_token_id', { u32: 2 }],
    ['tokenizer.ggml.eos_token_id', { u32: 3 }],
    ['tokenizer.ggml.seperator_token_id', { u32: 3 }],
    ['tokenizer.ggml.padding_token_id', { u32: 0 }],
  ])
  const f32 = (name: string, ...dimensions: number[]): SyntheticTensor => ({
    name,
    type: weightTypes.f32,
    dimensions,
  })
  return {
    metadata,
    tensors: [
      f32('token_embd.weight', embedding, tokens.length),
      f32('token_types.weight', embedding, 2),
      f32('position_embd.weight', embedding, contextTokens),
      f32('token_embd_norm.weight', embedding),
      f32('token_embd_norm.bias', embedding),
      ...Array.from({ length: layers }, (_, layer) => encoderLayer(layer)).flat(),
      ...(poolingType === pooling.rank
        ? [
            f32('cls.weight', embedding, embedding),
            f32('cls.bias', embedding),
            f32('cls.output.weight', embedding, 1),
            f32('cls.output.bias', 1),
          ]
        : []),
    ],
  }
}

function encoderLayer(layer: number): readonly SyntheticTensor[] {
  const { embedding, feedForward } = size
  const withBias = (name: string, from: number, to: number): readonly SyntheticTensor[] => [
    weight(layer, name, weightTypes.f32, [from, to]),
    bias(layer, name, to),
  ]
  const norm = (name: string): readonly SyntheticTensor[] => [
    weight(layer, name, weightTypes.f32, [embedding]),
    bias(layer, name, embedding),
  ]
  return [
    ...['attn_q', 'attn_k', 'attn_v', 'attn_output'].flatMap(name =>
      withBias(name, embedding, embedding),
    ),
    ...norm('attn_output_norm'),
    ...withBias('ffn_up', embedding, feedForward),
    ...withBias('ffn_down', feedForward, embedding),
    ...norm('layer_output_norm'),
  ]
}

const bias = (layer: number, name: string, length: number): SyntheticTensor => ({
  name: `blk.${layer}.${name}.bias`,
  type: weightTypes.f32,
  dimensions: [length],
})

import type { SyntheticModel, SyntheticTensor, SyntheticValue } from './synthetic-gguf.ts'

/** Numbers of tensor types that the shapes use. */
export const weightTypes = { f32: 0, f16: 1, q4_0: 2, q8_0: 8, q4_K: 12, q6_K: 14 } as const

export type TransformerSize = {
  readonly layers: number
  readonly embedding: number
  readonly heads: number
  readonly kvHeads: number
  readonly headSize: number
  readonly feedForward: number
  readonly vocabulary: number
  readonly contextTokens: number
  readonly type: number
}

/** The plain shape (`llama`): as many key/value heads as heads, or fewer (grouped queries). */
export function denseModel(
  size: TransformerSize,
  options: { tied?: boolean } = {},
): SyntheticModel {
  return {
    metadata: new Map([...common('llama', size), ...attention('llama', size)]),
    tensors: [
      ...ends(size, options.tied ?? false),
      ...perLayer(size.layers, layer => [
        ...attentionTensors(size, layer),
        ...feedForwardTensors(size, layer),
      ]),
    ],
  }
}

export function common(
  name: string,
  size: TransformerSize,
): readonly (readonly [string, SyntheticValue])[] {
  return [
    ['general.architecture', { text: name }],
    [`${name}.context_length`, { u32: size.contextTokens }],
    [`${name}.embedding_length`, { u32: size.embedding }],
    [`${name}.block_count`, { u32: size.layers }],
    [`${name}.feed_forward_length`, { u32: size.feedForward }],
    ...vocabulary(size.vocabulary),
  ]
}

export const attention = (
  name: string,
  size: Pick<TransformerSize, 'heads' | 'kvHeads' | 'headSize'>,
): readonly (readonly [string, SyntheticValue])[] => [
  [`${name}.attention.head_count`, { u32: size.heads }],
  [`${name}.attention.head_count_kv`, { u32: size.kvHeads }],
  [`${name}.attention.key_length`, { u32: size.headSize }],
  [`${name}.attention.value_length`, { u32: size.headSize }],
  [`${name}.rope.dimension_count`, { u32: size.headSize }],
  [`${name}.attention.layer_norm_rms_epsilon`, { f32: 1e-6 }],
]

/** A SentencePiece vocabulary: three control tokens, all bytes, and made-up words. */
function vocabulary(count: number): readonly (readonly [string, SyntheticValue])[] {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  )
  const words = Array.from({ length: count - 259 }, (_, word) => `▁w${word}`)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...words]
  const kinds = [2, 3, 3, ...bytes.map(() => 6), ...words.map(() => 1)]
  return [
    ['tokenizer.ggml.model', { text: 'llama' }],
    ['tokenizer.ggml.tokens', { texts: tokens }],
    ['tokenizer.ggml.scores', { f32s: tokens.map((_, token) => -token) }],
    ['tokenizer.ggml.token_type', { i32s: kinds }],
    ['tokenizer.ggml.bos_token_id', { u32: 1 }],
    ['tokenizer.ggml.eos_token_id', { u32: 2 }],
  ]
}

export const ends = (
  { embedding, vocabulary: tokens, type }: TransformerSize,
  tied: boolean,
): readonly SyntheticTensor[] => [
  { name: 'token_embd.weight', type, dimensions: [embedding, tokens] },
  { name: 'output_norm.weight', type: weightTypes.f32, dimensions: [embedding] },
  ...(tied ? [] : [{ name: 'output.weight', type, dimensions: [embedding, tokens] }]),
]

export const perLayer = (
  layers: number,
  tensors: (layer: number) => readonly SyntheticTensor[],
): readonly SyntheticTensor[] => Array.from({ length: layers }, (_, layer) => tensors(layer)).flat()

export function attentionTensors(size: TransformerSize, layer: number): readonly SyntheticTensor[] {
  const { embedding, heads, kvHeads, headSize, type } = size
  return [
    weight(layer, 'attn_norm', weightTypes.f32, [embedding]),
    weight(layer, 'attn_q', type, [embedding, heads * headSize]),
    weight(layer, 'attn_k', type, [embedding, kvHeads * headSize]),
    weight(layer, 'attn_v', type, [embedding, kvHeads * headSize]),
    weight(layer, 'attn_output', type, [heads * headSize, embedding]),
  ]
}

export function feedForwardTensors(
  size: TransformerSize,
  layer: number,
): readonly SyntheticTensor[] {
  const { embedding, feedForward, type } = size
  return [
    weight(layer, 'ffn_norm', weightTypes.f32, [embedding]),
    weight(layer, 'ffn_gate', type, [embedding, feedForward]),
    weight(layer, 'ffn_down', type, [feedForward, embedding]),
    weight(layer, 'ffn_up', type, [embedding, feedForward]),
  ]
}

export const weight = (
  layer: number,
  name: string,
  type: number,
  dimensions: readonly number[],
): SyntheticTensor => ({ name: `blk.${layer}.${name}.weight`, type, dimensions })

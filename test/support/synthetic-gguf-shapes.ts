import {
  attention,
  attentionTensors,
  common,
  ends,
  feedForwardTensors,
  perLayer,
  weight,
  weightTypes,
  type TransformerSize,
} from '../../src/models/synthetic-gguf-dense.ts'
import type {
  SyntheticModel,
  SyntheticTensor,
  SyntheticValue,
} from '../../src/models/synthetic-gguf.ts'

/** Experts in every layer (`qwen3moe`). */
export function expertsModel(
  size: TransformerSize & { readonly experts: number; readonly used: number },
): SyntheticModel {
  const name = 'qwen3moe'
  const { embedding, feedForward, experts, headSize, type } = size
  return {
    metadata: new Map<string, SyntheticValue>([
      ...common(name, size),
      ...attention(name, size),
      [`${name}.expert_count`, { u32: experts }],
      [`${name}.expert_used_count`, { u32: size.used }],
      [`${name}.expert_feed_forward_length`, { u32: feedForward }],
    ]),
    tensors: [
      ...ends(size, false),
      ...perLayer(size.layers, layer => [
        ...attentionTensors(size, layer),
        weight(layer, 'attn_q_norm', weightTypes.f32, [headSize]),
        weight(layer, 'attn_k_norm', weightTypes.f32, [headSize]),
        weight(layer, 'ffn_norm', weightTypes.f32, [embedding]),
        weight(layer, 'ffn_gate_inp', weightTypes.f32, [embedding, experts]),
        weight(layer, 'ffn_gate_exps', type, [embedding, feedForward, experts]),
        weight(layer, 'ffn_down_exps', type, [feedForward, embedding, experts]),
        weight(layer, 'ffn_up_exps', type, [embedding, feedForward, experts]),
      ]),
    ],
  }
}

/** Five layers with a window for each with full attention, tied embeddings (`gemma3`). */
export function windowModel(size: TransformerSize & { readonly window: number }): SyntheticModel {
  const name = 'gemma3'
  const { embedding, headSize } = size
  return {
    metadata: new Map<string, SyntheticValue>([
      ...common(name, size),
      ...attention(name, size),
      [`${name}.attention.sliding_window`, { u32: size.window }],
    ]),
    tensors: [
      ...ends(size, true),
      ...perLayer(size.layers, layer => [
        ...attentionTensors(size, layer),
        weight(layer, 'post_attention_norm', weightTypes.f32, [embedding]),
        weight(layer, 'attn_q_norm', weightTypes.f32, [headSize]),
        weight(layer, 'attn_k_norm', weightTypes.f32, [headSize]),
        ...feedForwardTensors(size, layer),
        weight(layer, 'post_ffw_norm', weightTypes.f32, [embedding]),
      ]),
    ],
  }
}

export type LatentSize = TransformerSize & {
  readonly latent: number
  readonly rope: number
  readonly experts: number
  readonly used: number
  readonly expertFeedForward: number
}

/** Keys and values in one small latent vector (`deepseek2`), experts behind one dense layer. */
export function latentModel(size: LatentSize): SyntheticModel {
  const name = 'deepseek2'
  const { embedding, heads, headSize, latent, rope, experts, expertFeedForward, type } = size
  const keySize = headSize + rope
  const queries = 512
  return {
    metadata: new Map<string, SyntheticValue>([
      ...common(name, size),
      ...attention(name, { ...size, kvHeads: 1, headSize: latent + rope }),
      [`${name}.attention.value_length`, { u32: latent }],
      [`${name}.attention.key_length_mla`, { u32: keySize }],
      [`${name}.attention.value_length_mla`, { u32: headSize }],
      [`${name}.attention.kv_lora_rank`, { u32: latent }],
      [`${name}.attention.q_lora_rank`, { u32: queries }],
      [`${name}.rope.dimension_count`, { u32: rope }],
      [`${name}.leading_dense_block_count`, { u32: 1 }],
      [`${name}.expert_count`, { u32: experts }],
      [`${name}.expert_used_count`, { u32: size.used }],
      [`${name}.expert_shared_count`, { u32: 1 }],
      [`${name}.expert_feed_forward_length`, { u32: expertFeedForward }],
      [`${name}.expert_weights_scale`, { f32: 1 }],
    ]),
    tensors: [
      ...ends(size, false),
      ...perLayer(size.layers, layer => [
        weight(layer, 'attn_norm', weightTypes.f32, [embedding]),
        weight(layer, 'attn_q_a_norm', weightTypes.f32, [queries]),
        weight(layer, 'attn_kv_a_norm', weightTypes.f32, [latent]),
        weight(layer, 'attn_q_a', type, [embedding, queries]),
        weight(layer, 'attn_q_b', type, [queries, heads * keySize]),
        weight(layer, 'attn_kv_a_mqa', type, [embedding, latent + rope]),
        weight(layer, 'attn_k_b', type, [headSize, latent, heads]),
        weight(layer, 'attn_v_b', type, [latent, headSize, heads]),
        weight(layer, 'attn_output', type, [heads * headSize, embedding]),
        ...(layer === 0 ? feedForwardTensors(size, layer) : latentExperts(size, layer)),
      ]),
    ],
  }
}

function latentExperts(size: LatentSize, layer: number): readonly SyntheticTensor[] {
  const { embedding, experts, expertFeedForward, type } = size
  return [
    weight(layer, 'ffn_norm', weightTypes.f32, [embedding]),
    weight(layer, 'ffn_gate_inp', weightTypes.f32, [embedding, experts]),
    weight(layer, 'ffn_down_exps', type, [expertFeedForward, embedding, experts]),
    weight(layer, 'ffn_gate_exps', type, [embedding, expertFeedForward, experts]),
    weight(layer, 'ffn_up_exps', type, [embedding, expertFeedForward, experts]),
    weight(layer, 'ffn_gate_shexp', type, [embedding, expertFeedForward]),
    weight(layer, 'ffn_down_shexp', type, [expertFeedForward, embedding]),
    weight(layer, 'ffn_up_shexp', type, [embedding, expertFeedForward]),
  ]
}

export type StateSize = {
  readonly state: number
  readonly groups: number
  readonly stateHeads: number
  /** Every so many layers one has attention instead of a state. */
  readonly attentionEvery: number
}

const convolution = 4

/** Most layers keep a state of fixed size instead of a cache (`granitehybrid`: Mamba 2 and attention). */
export function hybridModel(size: TransformerSize & StateSize): SyntheticModel {
  const name = 'granitehybrid'
  const inner = 2 * size.embedding
  const hasAttention = (layer: number): boolean =>
    layer % size.attentionEvery === size.attentionEvery - 1
  const kvHeads = Array.from({ length: size.layers }, (_, layer) =>
    hasAttention(layer) ? size.kvHeads : 0,
  )
  return {
    metadata: new Map<string, SyntheticValue>([
      ...common(name, size),
      ...attention(name, size),
      [`${name}.attention.head_count_kv`, { i32s: kvHeads }],
      [`${name}.ssm.conv_kernel`, { u32: convolution }],
      [`${name}.ssm.inner_size`, { u32: inner }],
      [`${name}.ssm.state_size`, { u32: size.state }],
      [`${name}.ssm.time_step_rank`, { u32: size.stateHeads }],
      [`${name}.ssm.group_count`, { u32: size.groups }],
    ]),
    tensors: [
      ...ends(size, false),
      ...perLayer(size.layers, layer => [
        ...(hasAttention(layer) ? attentionTensors(size, layer) : stateTensors(size, layer)),
        ...feedForwardTensors(size, layer),
      ]),
    ],
  }
}

function stateTensors(
  size: TransformerSize & StateSize,
  layer: number,
): readonly SyntheticTensor[] {
  const { embedding, state, groups, stateHeads, type } = size
  const inner = 2 * embedding
  const convolved = inner + 2 * groups * state
  const { f32 } = weightTypes
  return [
    weight(layer, 'attn_norm', f32, [embedding]),
    weight(layer, 'ssm_in', type, [embedding, inner + convolved + stateHeads]),
    weight(layer, 'ssm_conv1d', f32, [convolution, convolved]),
    { name: `blk.${layer}.ssm_conv1d.bias`, type: f32, dimensions: [convolved] },
    { name: `blk.${layer}.ssm_dt.bias`, type: f32, dimensions: [stateHeads] },
    { name: `blk.${layer}.ssm_a`, type: f32, dimensions: [1, stateHeads] },
    { name: `blk.${layer}.ssm_d`, type: f32, dimensions: [1, stateHeads] },
    weight(layer, 'ssm_norm', f32, [inner / groups, groups]),
    weight(layer, 'ssm_out', type, [inner, embedding]),
  ]
}

/** Three layers with a gated delta rule for each with attention (`qwen35`). */
export function deltaModel(size: TransformerSize & StateSize): SyntheticModel {
  const name = 'qwen35'
  const { f32 } = weightTypes
  const { embedding, heads, headSize, type } = size
  const hasAttention = (layer: number): boolean =>
    layer % size.attentionEvery === size.attentionEvery - 1
  return {
    metadata: new Map<string, SyntheticValue>([
      ...common(name, size),
      ...attention(name, size),
      [`${name}.rope.dimension_sections`, { i32s: [headSize / 4, headSize / 8, headSize / 8, 0] }],
      [`${name}.full_attention_interval`, { u32: size.attentionEvery }],
      [`${name}.ssm.conv_kernel`, { u32: convolution }],
      [`${name}.ssm.inner_size`, { u32: size.state * size.stateHeads }],
      [`${name}.ssm.state_size`, { u32: size.state }],
      [`${name}.ssm.time_step_rank`, { u32: size.stateHeads }],
      [`${name}.ssm.group_count`, { u32: size.groups }],
    ]),
    tensors: [
      ...ends(size, true),
      ...perLayer(size.layers, layer => [
        ...(hasAttention(layer)
          ? [
              // Queries and their gates come out of one multiplication.
              ...attentionTensors(size, layer).filter(tensor => !tensor.name.includes('_q.')),
              weight(layer, 'attn_q', type, [embedding, 2 * heads * headSize]),
              weight(layer, 'attn_q_norm', f32, [headSize]),
              weight(layer, 'attn_k_norm', f32, [headSize]),
            ]
          : deltaTensors(size, layer)),
        weight(layer, 'post_attention_norm', f32, [embedding]),
        ...feedForwardTensors(size, layer).filter(tensor => !tensor.name.includes('_norm')),
      ]),
    ],
  }
}

function deltaTensors(
  size: TransformerSize & StateSize,
  layer: number,
): readonly SyntheticTensor[] {
  const { embedding, state, groups, stateHeads, type } = size
  const values = state * stateHeads
  const convolved = values + 2 * groups * state
  const { f32 } = weightTypes
  return [
    weight(layer, 'attn_norm', f32, [embedding]),
    weight(layer, 'attn_qkv', type, [embedding, convolved]),
    weight(layer, 'attn_gate', type, [embedding, values]),
    weight(layer, 'ssm_conv1d', f32, [convolution, convolved]),
    { name: `blk.${layer}.ssm_dt.bias`, type: f32, dimensions: [stateHeads] },
    { name: `blk.${layer}.ssm_a`, type: f32, dimensions: [stateHeads] },
    weight(layer, 'ssm_beta', type, [embedding, stateHeads]),
    weight(layer, 'ssm_alpha', type, [embedding, stateHeads]),
    weight(layer, 'ssm_norm', f32, [state]),
    weight(layer, 'ssm_out', type, [values, embedding]),
  ]
}

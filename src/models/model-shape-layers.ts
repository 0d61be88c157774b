import type { ArchitectureRule, StateRule, WindowRule } from './model-shape-architectures.ts'
import { shapeLimits, type ShapeMetadata } from './model-shape-metadata.ts'
import type { AttentionShape, StateShape } from './model-shape-schema.ts'

/** By layer; 0 where it has none. */
export type FeedForwardSizes = {
  readonly dense: readonly number[]
  readonly experts: readonly number[]
}

export type LayerQuestion = {
  readonly metadata: ShapeMetadata
  readonly rule: ArchitectureRule
  readonly layerCount: number
  /** Layers at the end that are not loaded. */
  readonly guessing: number
  readonly embedding: number
  readonly feedForwards: FeedForwardSizes
}

export type LayerParts = {
  readonly windowTokens: number | null
  readonly attention: readonly (AttentionShape | null)[]
  readonly state: readonly (StateShape | null)[]
}

/** What each layer keeps: a cache, a state, both or neither. Problems stick in the metadata's `refusal`. */
export function layerParts(question: LayerQuestion): LayerParts {
  const { metadata, rule, layerCount, guessing } = question
  const zeros = Array<number>(layerCount).fill(0)
  const headless = rule.state?.layers === 'all' && rule.state.withAttention !== true
  const heads = headless
    ? zeros
    : metadata.perLayer('attention.head_count', layerCount, shapeLimits.headsMax, 'required')
  const kvHeads = headless
    ? zeros
    : metadata.perLayer('attention.head_count_kv', layerCount, shapeLimits.headsMax, heads)
  const hasState = stateLayers(question, kvHeads)
  const window = windowOf(metadata, rule.window, layerCount)
  const state = rule.state === undefined ? null : stateShape(question, rule.state, heads)
  const cachedLayers = cachedFromStart(question)
  const loaded = layerCount - guessing
  const attention = attentionOf(question, heads[0] ?? 0)
  return {
    windowTokens: window.tokens,
    state: hasState.map((has, layer) => (has && layer < loaded ? state : null)),
    attention: kvHeads.map((count, layer) => {
      const onlyState = hasState[layer] === true && rule.state?.withAttention !== true
      if (onlyState || count === 0 || layer >= loaded) return null
      const windowed = window.layers[layer] ?? false
      return {
        ...(windowed ? attention.windowed : attention.full),
        heads: heads[layer] ?? 0,
        kvHeads: count,
        windowed,
        cached: layer < cachedLayers,
        latent: attention.latent,
      }
    }),
  }
}

function stateLayers(question: LayerQuestion, kvHeads: readonly number[]): readonly boolean[] {
  const { metadata, rule, layerCount, feedForwards } = question
  if (rule.state === undefined) return Array<boolean>(layerCount).fill(false)
  if (rule.state.layers === 'all') return Array<boolean>(layerCount).fill(true)
  if (rule.state.layers === 'interval') {
    const listed = metadata.list('attention.recurrent_layers', layerCount, 1)
    if (listed !== null) return listed.map(has => has === 1)
    const interval = Math.max(1, metadata.count('full_attention_interval', layerCount, 4))
    return kvHeads.map((_, layer) => (layer + 1) % interval !== 0)
  }
  const withoutFeedForward = rule.state.withoutFeedForward ?? false
  return kvHeads.map(
    (count, layer) =>
      count === 0 &&
      (!withoutFeedForward ||
        (feedForwards.dense[layer] === 0 && feedForwards.experts[layer] === 0)),
  )
}

type Window = { readonly tokens: number | null; readonly layers: readonly boolean[] }

function windowOf(
  metadata: ShapeMetadata,
  rule: WindowRule | undefined,
  layerCount: number,
): Window {
  const none: Window = { tokens: null, layers: [] }
  if (rule === undefined || (rule.onlyLayers !== undefined && rule.onlyLayers !== layerCount))
    return none
  const said = metadata.count(
    'attention.sliding_window',
    shapeLimits.contextTokensMax,
    rule.tokens ?? 0,
  )
  if (said === 0) return none
  const tokens = rule.fixedTokens ?? said
  const key = 'attention.sliding_window_pattern'
  const listed = metadata.list(key, layerCount, 1)
  if (listed !== null) return { tokens, layers: listed.map(windowed => windowed === 1) }
  if (rule.period === 'listed') {
    metadata.refuse(`${key} must be a list`)
    return none
  }
  const period = metadata.count(key, layerCount, rule.period)
  const dense = rule.denseFirst === true ? 0 : period - 1
  return {
    tokens,
    layers: Array.from(
      { length: layerCount },
      (_, layer) => period === 0 || layer % period !== dense,
    ),
  }
}

function cachedFromStart({ metadata, rule, layerCount }: LayerQuestion): number {
  if (rule.cacheFromStart === undefined) return layerCount
  if (rule.cacheFromStart !== 'header') return rule.cacheFromStart
  return layerCount - metadata.count('attention.shared_kv_layers', layerCount, 0)
}

type Sizes = Pick<AttentionShape, 'keySize' | 'valueSize'>

function attentionOf(
  { metadata, rule, embedding }: LayerQuestion,
  heads: number,
): { readonly full: Sizes; readonly windowed: Sizes; readonly latent: Sizes | null } {
  const size = (key: string, fallback: number): number =>
    metadata.count(`attention.${key}`, shapeLimits.headSizeMax, fallback)
  const even = heads === 0 ? 0 : Math.floor(embedding / heads)
  const full = { keySize: size('key_length', even), valueSize: size('value_length', even) }
  const windowed = {
    keySize: size('key_length_swa', full.keySize),
    valueSize: size('value_length_swa', full.valueSize),
  }
  const latent = { keySize: size('key_length_mla', 0), valueSize: size('value_length_mla', 0) }
  const packed = rule.latent === true && latent.keySize > 0 && latent.valueSize > 0
  return { full, windowed, latent: packed ? latent : null }
}

function stateShape(
  { metadata, embedding }: LayerQuestion,
  rule: StateRule,
  heads: readonly number[],
): StateShape {
  const size = (key: string, fallback: number | 'required'): number =>
    metadata.count(key, shapeLimits.stateSizeMax, fallback)
  if (rule.kind === 'rwkv') {
    const shift = size('token_shift_count', 2)
    const head = size('wkv.head_size', 'required')
    return {
      kind: rule.kind,
      shiftElements: shift * embedding,
      stateElements: embedding * head,
      projected: 4 * embedding,
      convolved: embedding,
      inner: embedding,
    }
  }
  if (rule.kind === 'convolution') {
    const taps = size('shortconv.l_cache', 'required')
    return {
      kind: rule.kind,
      shiftElements: embedding * Math.max(0, taps - 1),
      stateElements: 0,
      projected: 3 * embedding,
      convolved: embedding,
      inner: embedding,
    }
  }
  const inner = size('ssm.inner_size', 'required')
  const state = size('ssm.state_size', 'required')
  const groups = size('ssm.group_count', 0)
  const taps = size('ssm.conv_kernel', 'required')
  const rank = size('ssm.time_step_rank', heads[0] ?? 0)
  const convolved = inner + 2 * groups * state
  return {
    kind: rule.kind,
    shiftElements: Math.max(0, taps - 1) * convolved,
    stateElements: state * inner,
    projected: inner + convolved + rank,
    convolved,
    inner,
  }
}

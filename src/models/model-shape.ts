import type { GgufHeader, GgufTensor } from './gguf-header.ts'
import { architectureRules } from './model-shape-architectures.ts'
import { embeddingTable, layerWeights, type PlacedTensor } from './layer-weights.ts'
import { layerParts, type FeedForwardSizes } from './model-shape-layers.ts'
import { shapeLimits, ShapeMetadata } from './model-shape-metadata.ts'
import type { ModelShape } from './model-shape-schema.ts'

/** @returns the shape, or a text that says why this header does not tell what the model needs */
export function modelShape(header: GgufHeader): ModelShape | string {
  const architecture = header.metadata.get('general.architecture')
  if (typeof architecture !== 'string') return 'general.architecture must be a text'
  const rule = architectureRules.get(architecture)
  if (rule === undefined)
    return `the memory of models of the architecture ${JSON.stringify(architecture.slice(0, 64))} is not known to this build`
  const metadata = new ShapeMetadata(header.metadata, architecture)
  const layerCount = metadata.count('block_count', shapeLimits.layersMax, 'required')
  const embedding = metadata.count('embedding_length', shapeLimits.embeddingMax, 'required')
  const contextTokensTrained = metadata.count(
    'context_length',
    shapeLimits.contextTokensMax,
    'required',
  )
  // Layers that only guess ahead are in the file, but node-llama-cpp does not load them.
  const guessing = metadata.count('nextn_predict_layers', layerCount, 0)
  const experts = metadata.count('expert_count', shapeLimits.expertsMax, 0)
  const vocabulary = vocabularySize(header, metadata)
  if (metadata.refusal === null && (layerCount === 0 || embedding === 0))
    metadata.refuse(`${architecture}.block_count and .embedding_length must not be 0`)
  if (metadata.refusal !== null) return metadata.refusal
  const tensors = placeTensors(header.tensors, layerCount, layerCount - guessing)
  const feedForwards = feedForwardSizes(header.tensors, layerCount)
  const parts = layerParts({ metadata, rule, layerCount, guessing, embedding, feedForwards })
  const used = metadata.perLayer(
    'expert_used_count',
    layerCount,
    shapeLimits.expertsMax,
    Array<number>(layerCount).fill(0),
  )
  if (metadata.refusal !== null) return metadata.refusal
  return {
    architecture,
    measured: rule.measured ?? false,
    contextTokensTrained,
    embedding,
    vocabulary,
    tiedEmbeddings: !header.tensors.some(({ name }) => name === 'output.weight'),
    embeddingTable: embeddingTable(tensors),
    experts,
    windowTokens: parts.windowTokens,
    layers: Array.from({ length: layerCount }, (_, layer) => ({
      attention: parts.attention[layer] ?? null,
      state: parts.state[layer] ?? null,
      feedForward: feedForwards.dense[layer] ?? 0,
      expertFeedForward: feedForwards.experts[layer] ?? 0,
      expertsUsed: used[layer] ?? 0,
    })),
    weights: layerWeights(tensors),
  }
}

function vocabularySize(header: GgufHeader, metadata: ShapeMetadata): number {
  const tokens = header.metadata.get('tokenizer.ggml.tokens')
  if (!Array.isArray(tokens))
    return metadata.count('vocab_size', shapeLimits.vocabularyMax, 'required')
  if (tokens.length > shapeLimits.vocabularyMax) metadata.refuse('the vocabulary is too large')
  return tokens.length
}

const inputNames = new Set([
  'token_embd',
  'token_embd_norm',
  'position_embd',
  'token_types',
  'per_layer_token_embd',
])

function placeTensors(
  tensors: readonly GgufTensor[],
  layerCount: number,
  loadedLayers: number,
): readonly PlacedTensor[] {
  const placed: PlacedTensor[] = []
  for (const tensor of tensors) {
    const block = blockOf(tensor.name)
    if (block !== null && block >= loadedLayers) continue
    const [, rows] = tensor.dimensions
    placed.push({
      layer: block ?? (inputNames.has(tensor.name.split('.')[0] ?? '') ? -1 : layerCount),
      type: tensor.type,
      bytes: tensor.sizeBytes,
      offsetBytes: tensor.offsetBytes,
      matrixRows: rows !== undefined && rows > 1 ? rows : null,
      ofExperts: tensor.name.includes('_exps.'),
    })
  }
  return placed
}

function blockOf(name: string): number | null {
  const match = /^blk\.(\d{1,4})\./.exec(name)
  return match === null ? null : Number(match[1])
}

/** From the tensors: metadata keys for these differ between architectures, the tensors' names do not. */
function feedForwardSizes(tensors: readonly GgufTensor[], layerCount: number): FeedForwardSizes {
  const dense = Array<number>(layerCount).fill(0)
  const experts = Array<number>(layerCount).fill(0)
  for (const { name, dimensions } of tensors) {
    const match = /^blk\.(\d{1,4})\.ffn_down(_exps)?\.weight$/.exec(name)
    const layer = Number(match?.[1])
    const size = dimensions[0] ?? 0
    if (match === null || layer >= layerCount) continue
    const sizes = match[2] === undefined ? dense : experts
    sizes[layer] = Math.min(size, shapeLimits.feedForwardMax)
  }
  return { dense, experts }
}

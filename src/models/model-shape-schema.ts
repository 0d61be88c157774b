import { Type } from 'typebox'
import { ggufLimits } from './gguf-header.ts'
import { shapeLimits } from './model-shape-metadata.ts'

const count = (maximum: number) => Type.Integer({ minimum: 0, maximum })
const size = count(shapeLimits.headSizeMax)
/** Sizes of a hostile file and products of them leave the range of whole numbers, never that of a double. */
const product = Type.Number({ minimum: 0 })

const AttentionSchema = Type.Object({
  heads: count(shapeLimits.headsMax),
  kvHeads: count(shapeLimits.headsMax),
  // Where no key of the header tells them, they follow from the embedding.
  keySize: count(shapeLimits.embeddingMax),
  valueSize: count(shapeLimits.embeddingMax),
  windowed: Type.Boolean(),
  cached: Type.Boolean(),
  latent: Type.Union([Type.Object({ keySize: size, valueSize: size }), Type.Null()]),
})

const StateSchema = Type.Object({
  kind: Type.Union([
    Type.Literal('mamba'),
    Type.Literal('delta'),
    Type.Literal('convolution'),
    Type.Literal('rwkv'),
  ]),
  shiftElements: product,
  stateElements: product,
  projected: product,
  convolved: product,
  inner: product,
})

const LayerSchema = Type.Object({
  attention: Type.Union([AttentionSchema, Type.Null()]),
  state: Type.Union([StateSchema, Type.Null()]),
  feedForward: count(shapeLimits.feedForwardMax),
  expertFeedForward: count(shapeLimits.feedForwardMax),
  expertsUsed: count(shapeLimits.expertsMax),
})

const TensorSchema = Type.Object({
  layer: Type.Integer({ minimum: -1, maximum: shapeLimits.layersMax }),
  type: count(0xffffffff),
  bytes: product,
  offsetBytes: product,
  matrixRows: Type.Union([product, Type.Null()]),
  ofExperts: Type.Boolean(),
})

/** A `ModelShape` that comes over the wire: the same bounds as one that is read from a file. */
export const ModelShapeSchema = Type.Object({
  architecture: Type.String({ maxLength: 64 }),
  measured: Type.Boolean(),
  contextTokensTrained: count(shapeLimits.contextTokensMax),
  embedding: count(shapeLimits.embeddingMax),
  vocabulary: count(shapeLimits.vocabularyMax),
  tiedEmbeddings: Type.Boolean(),
  experts: count(shapeLimits.expertsMax),
  windowTokens: Type.Union([count(shapeLimits.contextTokensMax), Type.Null()]),
  layers: Type.Array(LayerSchema, { minItems: 1, maxItems: shapeLimits.layersMax }),
  tensors: Type.Array(TensorSchema, { maxItems: ggufLimits.tensorsMax }),
})

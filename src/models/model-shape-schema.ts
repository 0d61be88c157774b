import { Type, type Static } from 'typebox'
import { shapeLimits } from './model-shape-metadata.ts'

const count = (maximum: number) => Type.Integer({ minimum: 0, maximum })
/** Beyond every file; sums of hostile sizes leave the range of whole numbers, never that of a double. */
const Bytes = Type.Number({ minimum: 0 })

const AttentionShapeSchema = Type.Object({
  heads: count(shapeLimits.headsMax),
  kvHeads: count(shapeLimits.headsMax),
  keySize: count(shapeLimits.embeddingMax),
  valueSize: count(shapeLimits.embeddingMax),
  /** The layer sees only the last tokens, `windowTokens` of the model. */
  windowed: Type.Boolean(),
  /** False: the layer reads the cache of an earlier one. */
  cached: Type.Boolean(),
  /** Sizes of one head's key and value after they are unpacked from the latent vector that the cache holds. */
  latent: Type.Union([
    Type.Object({
      keySize: count(shapeLimits.headSizeMax),
      valueSize: count(shapeLimits.headSizeMax),
    }),
    Type.Null(),
  ]),
})
export type AttentionShape = Static<typeof AttentionShapeSchema>

/** What a layer remembers of everything before, whatever the length: elements per slot, 32-bit floats. */
const StateShapeSchema = Type.Object({
  kind: Type.Union([
    Type.Literal('mamba'),
    Type.Literal('delta'),
    Type.Literal('convolution'),
    Type.Literal('rwkv'),
  ]),
  shiftElements: Bytes,
  stateElements: Bytes,
  /** Elements per token that come out of the first multiplication, out of the convolution, and out of the state. */
  projected: Bytes,
  convolved: Bytes,
  inner: Bytes,
})
export type StateShape = Static<typeof StateShapeSchema>

const LayerShapeSchema = Type.Object({
  attention: Type.Union([AttentionShapeSchema, Type.Null()]),
  state: Type.Union([StateShapeSchema, Type.Null()]),
  /** Elements between the two halves of the feed-forward part; 0 without one. */
  feedForward: count(shapeLimits.feedForwardMax),
  expertFeedForward: count(shapeLimits.feedForwardMax),
  expertsUsed: count(shapeLimits.expertsMax),
})
export type LayerShape = Static<typeof LayerShapeSchema>

/** All weights of one layer together. */
const LayerWeightsSchema = Type.Object({
  /** -1 is the input, and the one behind the last is the output. */
  layer: Type.Integer({ minimum: -1, maximum: shapeLimits.layersMax }),
  bytes: Bytes,
  /** Those of them that a processor copies into another layout, when there is no GPU. */
  relaidBytes: Bytes,
  /** Where in the file's data they lie: the first byte, and the one behind the last. */
  start: Bytes,
  end: Bytes,
  /** The same of those that are not copied; both 0 when all are. */
  keptStart: Bytes,
  keptEnd: Bytes,
  /** The largest weight that is one matrix, and the largest that is one for each expert. */
  matrixBytes: Bytes,
  expertsBytes: Bytes,
})
export type LayerWeights = Static<typeof LayerWeightsSchema>

/**
 * What of a model decides how much memory it takes, as it is kept and sent: some 20 kB of JSON for 80 layers, and at
 * most a few hundred, since every count is bounded (`shapeLimits`) and weights are added up by layer.
 */
export const ModelShapeSchema = Type.Object({
  architecture: Type.String({ maxLength: 64 }),
  /** Whether estimates for this architecture were compared with what llama.cpp really took. */
  measured: Type.Boolean(),
  contextTokensTrained: count(shapeLimits.contextTokensMax),
  /** Elements of the vector that runs through the layers. */
  embedding: count(shapeLimits.embeddingMax),
  vocabulary: count(shapeLimits.vocabularyMax),
  /** The output layer has no weights of its own and uses those of the embedding. */
  tiedEmbeddings: Type.Boolean(),
  /** The largest table of the input; null when there is none. */
  embeddingTable: Type.Union([Type.Object({ bytes: Bytes, relaid: Type.Boolean() }), Type.Null()]),
  experts: count(shapeLimits.expertsMax),
  /** Tokens of the sliding window; null when all layers see everything. */
  windowTokens: Type.Union([count(shapeLimits.contextTokensMax), Type.Null()]),
  layers: Type.Array(LayerShapeSchema, { maxItems: shapeLimits.layersMax }),
  /** By layer; one without weights is left out. */
  weights: Type.Array(LayerWeightsSchema, { maxItems: shapeLimits.layersMax + 2 }),
})
export type ModelShape = Static<typeof ModelShapeSchema>

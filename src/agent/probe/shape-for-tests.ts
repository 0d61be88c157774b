import { embeddingTable, layerWeights, type PlacedTensor } from '../../models/layer-weights.ts'
import type { LayerShape, ModelShape } from '../../models/model-shape-schema.ts'

const q4K = 12
const q6K = 14

const layer: LayerShape = {
  attention: {
    heads: 32,
    kvHeads: 8,
    keySize: 128,
    valueSize: 128,
    windowed: false,
    cached: true,
    latent: null,
  },
  state: null,
  feedForward: 12_288,
  expertFeedForward: 0,
  expertsUsed: 0,
}
const layers = 36
const layerBytes = 115_000_000
const embeddingBytes = 350_000_000
const outputBytes = 510_000_000

const tensor = (of: number, bytes: number, offsetBytes: number, type: number): PlacedTensor => ({
  layer: of,
  type,
  bytes,
  offsetBytes,
  matrixRows: 4096,
  ofExperts: false,
})

const tensors = [
  tensor(-1, embeddingBytes, 0, q4K),
  ...Array.from({ length: layers }, (_, at) =>
    tensor(at, layerBytes, embeddingBytes + at * layerBytes, q4K),
  ),
  tensor(layers, outputBytes, embeddingBytes + layers * layerBytes, q6K),
]

/** The size of Qwen3 8B at 4 to 5 bits, with one tensor for each layer. */
export const shape8b: ModelShape = {
  architecture: 'qwen3',
  measured: true,
  contextTokensTrained: 40_960,
  embedding: 4096,
  vocabulary: 151_936,
  tiedEmbeddings: false,
  experts: 0,
  windowTokens: null,
  layers: Array.from({ length: layers }, () => layer),
  weights: layerWeights(tensors),
  embeddingTable: embeddingTable(tensors),
}

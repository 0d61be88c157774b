import { join } from 'node:path'
import { denseModel, weightTypes } from '../../src/models/synthetic-gguf-dense.ts'
import { writeSyntheticGguf } from '../../src/models/synthetic-gguf.ts'

/** Half a gigabyte of random weights: a token takes two cores of a server more than 20 ms, so what is around it shows less. */
export async function writeBenchModel(folder: string): Promise<string> {
  const path = join(folder, 'model.gguf')
  const model = denseModel({
    layers: 28,
    embedding: 1_024,
    heads: 16,
    kvHeads: 2,
    headSize: 64,
    feedForward: 4_608,
    vocabulary: 16_384,
    contextTokens: 16_384,
    type: weightTypes.q8_0,
  })
  await writeSyntheticGguf(path, model, 'random')
  return path
}

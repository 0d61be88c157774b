import type { LlamaModel, LlamaModelOptions } from 'node-llama-cpp'
import type { Failure } from '../../protocol/errors.ts'
import type { EngineModel } from '../engine/engine.ts'
import { createEmbedder, type Embedder, type EmbedLane } from './embedder.ts'
import { openLlama } from './open-llama.ts'

type GpuLayers = NonNullable<LlamaModelOptions['gpuLayers']>
type Wanted = EngineModel & {
  readonly kind: Embedder['kind']
  readonly vocabularyTokens: number
}

/**
 * Loads a model that makes vectors. node-llama-cpp gives such a context one sequence, so every slot has a context of its
 * own.
 * @param onProgress 0 to 1
 */
export async function loadEmbedder(
  options: Wanted,
  onProgress: (progress: number) => void,
): Promise<Embedder | Failure> {
  const { kind, contextTokens, slots, gpuLayers, vocabularyTokens } = options
  const { InsufficientMemoryError } = await import('node-llama-cpp')
  try {
    const llama = await openLlama(options)
    const open = async (layers: GpuLayers) => {
      const model = await llama.loadModel({
        modelPath: options.modelPath,
        gpuLayers: layers,
        defaultContextFlashAttention: 'auto',
        onLoadProgress: onProgress,
      })
      try {
        const lanes: [EmbedLane, ...EmbedLane[]] = [await openLane(model, options)]
        while (lanes.length < slots) lanes.push(await openLane(model, options))
        return { model, lanes }
      } catch (error) {
        await model.dispose()
        throw error
      }
    }
    const fitted = { fitContext: { contextSize: contextTokens * slots, embeddingContext: true } }
    const wanted = gpuLayers === 'auto' ? fitted : (gpuLayers ?? 0)
    const { model, lanes } = await open(wanted).catch((error: unknown) => {
      if (typeof gpuLayers !== 'number' || !(error instanceof InsufficientMemoryError)) throw error
      // Other programs have taken memory since it was measured: as many as go in now.
      return open({ ...fitted, max: gpuLayers })
    })
    const tokenize = (text: string) => model.tokenize(text, false)
    return createEmbedder({ kind, contextTokens, lanes, tokenize, vocabularyTokens })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return {
      code: error instanceof InsufficientMemoryError ? 'out_of_memory' : 'model_load_failed',
      message: message.slice(0, 1_000),
    }
  }
}

async function openLane(
  model: LlamaModel,
  { kind, contextTokens, threads }: Wanted,
): Promise<EmbedLane> {
  const options = {
    // The library keeps one token free.
    contextSize: contextTokens + 1,
    // A whole input at once: an encoder cannot be computed in pieces (llama.cpp aborts), and a pooled vector of pieces
    // would be that of the last one alone.
    batchSize: contextTokens + 1,
    threads,
  }
  return kind === 'embedding'
    ? { kind, context: await model.createEmbeddingContext(options) }
    : { kind, context: await model.createRankingContext(options) }
}

import type { Llama } from 'node-llama-cpp'
import type { EngineModel } from '../engine/engine.ts'
import { gpuChoice } from './gpu-choice.ts'

/** The best build of the engine that is there and works: nothing is built, fetched or printed. */
export const libraryOptions = {
  gpu: gpuChoice(process.env),
  build: 'never',
  skipDownload: true,
  progressLogs: false,
} as const

/** The library with everything it would otherwise decide by itself decided: no build, no download, no log. */
export async function openLlama({
  threads,
  gpuLayers,
}: Pick<EngineModel, 'threads' | 'gpuLayers'>): Promise<Llama> {
  // Imported late: the agent must hear of a file that is no model without waiting for the library.
  const { getLlama } = await import('node-llama-cpp')
  return getLlama({
    ...libraryOptions,
    gpu: gpuLayers === null ? false : libraryOptions.gpu,
    maxThreads: threads,
    logger: () => undefined,
  })
}

import type { Llama } from 'node-llama-cpp'
import type { EngineModel } from '../engine/engine.ts'

/** The library with everything it would otherwise decide by itself decided: no build, no download, no log. */
export async function openLlama({
  threads,
  gpuLayers,
}: Pick<EngineModel, 'threads' | 'gpuLayers'>): Promise<Llama> {
  // Imported late: the agent must hear of a file that is no model without waiting for the library.
  const { getLlama } = await import('node-llama-cpp')
  return getLlama({
    gpu: gpuLayers === null ? false : 'auto',
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    maxThreads: threads,
    logger: () => undefined,
  })
}

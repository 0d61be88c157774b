import type { Llama } from 'node-llama-cpp'
import type { EngineReport } from './examine-message.ts'
import { libraryOptions } from './open-llama.ts'

const contextTokens = 64
const tokensWanted = 4
const notesMax = 8
const noteCharactersMax = 500

/**
 * Loads the engine as a worker does and, where there is a small model, computes some tokens with it: a driver that
 * lists its devices can still fail at the first computation.
 */
export async function examineEngine(modelPath: string | null): Promise<EngineReport> {
  const { getLlama } = await import('node-llama-cpp')
  const notes: string[] = []
  const llama = await getLlama({
    ...libraryOptions,
    maxThreads: 1,
    logger: (level, message) => {
      const told = level === 'warn' || level === 'error' || level === 'fatal'
      if (told && notes.length < notesMax) notes.push(message.trim().slice(0, noteCharactersMax))
    },
  })
  const devices = llama.gpu === false ? [] : await llama.getGpuDeviceNames()
  return {
    backend: llama.gpu === false ? 'cpu' : llama.gpu,
    devices: devices.slice(0, 64).map(name => name.slice(0, 256)),
    model: modelPath === null ? null : await compute(llama, modelPath),
    notes,
  }
}

async function compute(llama: Llama, modelPath: string): Promise<EngineReport['model']> {
  try {
    const model = await llama.loadModel({ modelPath, gpuLayers: 'auto' })
    const context = await model.createContext({ contextSize: contextTokens, threads: 1 })
    const prompt = model.tokenize('Hello')
    let tokens = 0
    for await (const _ of context.getSequence().evaluate(prompt, { temperature: 0 }))
      if (++tokens === tokensWanted) break
    return { gpuLayers: model.gpuLayers, layers: model.fileInsights.totalLayers, tokens }
  } catch (error) {
    return { problem: (error instanceof Error ? error.message : String(error)).slice(0, 1_000) }
  }
}

import { readFileSync } from 'node:fs'
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import type { MeasureOrder, SideTaken, Taken } from './measure-order.ts'

/**
 * Loads a model as the worker does, computes one batch, and says what llama.cpp reported. A process of its own: what
 * it allocates is seen in its resident size, and a model that llama.cpp cannot stand takes nobody along.
 */
async function measure(order: MeasureOrder): Promise<Taken> {
  const log: string[] = []
  const llama = await getLlama({
    gpu: order.gpuLayers === null ? false : 'auto',
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    maxThreads: 1,
    logLevel: LlamaLogLevel.debug,
    logger: (_level, message) => log.push(message),
  })
  if (order.gpuLayers !== null && llama.gpu === false) throw new Error('there is no GPU')
  const model = await llama.loadModel({
    modelPath: order.modelPath,
    gpuLayers: order.gpuLayers ?? 0,
    ignoreMemorySafetyChecks: true,
  })
  const context = await model.createContext({
    contextSize: order.contextTokensPerSlot,
    sequences: order.slots,
    batchSize: order.batchTokens,
    threads: 1,
    flashAttention: order.flashAttention,
    experimentalKvCacheKeyType: order.cacheType,
    experimentalKvCacheValueType: order.cacheType,
    ignoreMemorySafetyChecks: true,
  })
  const { bos } = model.tokens
  if (bos === null) throw new Error('the model has no token to begin with')
  // Pages count once they are written to: without a batch the buffers of the computation are only promised.
  const prompt = Array.from({ length: order.batchTokens }, () => bos)
  await context.getSequence().evaluateWithoutGeneratingNewTokens(prompt)
  const residentBytes = residentSize()
  await context.dispose()
  await model.dispose()
  await llama.dispose()
  return { ...readLog(log.join('\n')), residentBytes }
}

const kinds = {
  model: 'weightsBytes',
  KV: 'kvCacheBytes',
  RS: 'kvCacheBytes',
  compute: 'computeBytes',
  output: 'outputBytes',
} as const satisfies Record<string, keyof SideTaken>
const isKind = (kind: string): kind is keyof typeof kinds => kind in kinds

/** "CPU_Mapped model buffer size =   118.50 MiB"; buffers of the host are named after their GPU. */
function readLog(log: string): Pick<Taken, 'gpu' | 'cpu'> {
  const none = { weightsBytes: 0, kvCacheBytes: 0, computeBytes: 0, outputBytes: 0 }
  const sides = { gpu: { ...none }, cpu: { ...none } }
  const lines = /(\w+) +(\w+) buffer size = +([\d.]+) MiB/g
  for (const [, buffer = '', kind = '', mebibytes] of log.matchAll(lines)) {
    if (!isKind(kind)) continue
    const side = /^CPU|_Host$/.test(buffer) ? sides.cpu : sides.gpu
    side[kinds[kind]] += Math.round(Number(mebibytes) * 1024 ** 2)
  }
  return sides
}

function residentSize(): number {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024
}

console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? '{}'))))
// The library keeps timers of its own; nothing is left to wait for.
process.exit(0)

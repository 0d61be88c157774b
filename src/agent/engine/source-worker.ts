import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cudaPlatforms } from '../executable/choose-engine.ts'
import { sourceWorker } from './llama-engine.ts'
import type { PrepareWorker } from './worker-program.ts'

const demoModelPath = fileURLToPath(
  new URL('../../../models/demo/gpupool-demo.gguf', import.meta.url),
)

/** The worker of a checkout: its engine is in node_modules, the CUDA build of it only where a GPU was seen at install. */
export const prepareSourceWorker: PrepareWorker = async () => {
  const system = process.platform === 'win32' ? 'win' : process.platform
  const cudaPackage = `@node-llama-cpp/${system}-${process.arch}-cuda/package.json`
  const hasCuda =
    cudaPlatforms.includes(`${process.platform}-${process.arch}`) && isInstalled(cudaPackage)
  return {
    program: sourceWorker,
    tinyModelPath: existsSync(demoModelPath) ? demoModelPath : null,
    cuda: { state: hasCuda ? 'ready' : 'not_built' },
  }
}

function isInstalled(name: string): boolean {
  try {
    Bun.resolveSync(name, import.meta.dir)
    return true
  } catch {
    return false
  }
}

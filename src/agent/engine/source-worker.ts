import { cudaPlatforms } from '../executable/choose-engine.ts'
import { sourceWorker } from './llama-engine.ts'
import type { PrepareWorker } from './worker-program.ts'

/** The worker of a checkout: its engine is in node_modules, the CUDA build of it only where a GPU was seen at install. */
export const prepareSourceWorker: PrepareWorker = async () => {
  const system = process.platform === 'win32' ? 'win' : process.platform
  const cudaPackage = `@node-llama-cpp/${system}-${process.arch}-cuda/package.json`
  const hasCuda =
    cudaPlatforms.includes(`${process.platform}-${process.arch}`) && isInstalled(cudaPackage)
  return {
    program: sourceWorker,
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

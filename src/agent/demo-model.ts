import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** @returns the model that a checkout brings along; null in the executable, which brings none */
export function demoModelPath(): string | null {
  const path = fileURLToPath(new URL('../../models/demo/gpupool-demo.gguf', import.meta.url))
  return existsSync(path) ? path : null
}

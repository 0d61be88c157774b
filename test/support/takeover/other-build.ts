import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { LlamaModel } from 'node-llama-cpp'

/** How a machine's engine differs from the others'; for gated-agent.ts, which hands it to its workers. */
export const buildVariable = 'GPUPOOL_TEST_BUILD'

/**
 * `oldest-cpu`: the library that runs on every processor, in place of the one for this processor. `no-flash-attention`: as it
 * says. Both give other last bits than the build as it is.
 */
export type Build = 'as-it-is' | 'oldest-cpu' | 'no-flash-attention'

const libraryPrefix = 'libggml-cpu-'
/** The engine's package has one library for each family of processors, and takes the best one that is there. */
const oldestLibraries: Readonly<Record<string, string>> = {
  x64: 'libggml-cpu-x64.so',
  arm64: 'libggml-cpu-armv8.0_1.so',
}

/** To be called before the engine is loaded. @param folder may be written to */
export async function useBuild(build: Build, folder: string): Promise<void> {
  if (build === 'oldest-cpu') useOldestLibrary(folder)
  if (build === 'no-flash-attention') await switchFlashAttentionOff()
}

/** Gives the engine a package that is a copy of its own, with that one library of the processor's. */
function useOldestLibrary(folder: string): void {
  const target = `linux-${process.arch}`
  const name = `@node-llama-cpp/${target}`
  const packagePath = Bun.resolveSync(`${name}/package.json`, import.meta.dir)
  const { version } = JSON.parse(readFileSync(packagePath, 'utf8')) as { version: string }
  const from = join(dirname(packagePath), 'bins', target)
  const copy = join(folder, 'engine')
  const oldest = oldestLibraries[process.arch] ?? ''
  if (!existsSync(join(from, oldest))) throw new Error(`${from} has no ${oldest}`)
  mkdirSync(join(copy, target), { recursive: true })
  for (const file of readdirSync(from))
    if (!file.startsWith(libraryPrefix) || file === oldest)
      copyFileSync(join(from, file), join(copy, target, file))
  Bun.plugin({
    name: 'oldest CPU library',
    setup: plugin => {
      plugin.module(name, () => ({
        loader: 'object',
        exports: { getBinsDir: () => ({ binsDir: copy, packageVersion: version }) },
      }))
    },
  })
}

async function switchFlashAttentionOff(): Promise<void> {
  const { LlamaModel: Model } = await import('node-llama-cpp')
  const createContext = Reflect.get(Model.prototype, 'createContext') as LlamaModel['createContext']
  Model.prototype.createContext = function (this: LlamaModel, options) {
    return createContext.call(this, { ...options, flashAttention: false })
  }
}

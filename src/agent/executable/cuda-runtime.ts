import { join } from 'node:path'

/** What decides whether the engine's CUDA build can be loaded. */
export type CudaSurroundings = {
  readonly platform: NodeJS.Platform
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly exists: (path: string) => boolean
  /** Names in a folder; empty when there is no such folder. */
  readonly list: (folder: string) => readonly string[]
}

/**
 * NVIDIA's own libraries, which node-llama-cpp's CUDA build takes from the system (`NEEDED` and import tables of its
 * libggml-cuda and ggml-cuda.dll): the build itself wants 13, its fallback 12.
 */
const versions = [13, 12] as const
const libraries = ['cudart', 'cublas', 'cublasLt'] as const

/** For the owner, behind "CUDA is not available". */
export const cudaRuntimeMissing =
  "NVIDIA's CUDA runtime is not installed (cudart, cublas and cublasLt of version 13 or 12, from the CUDA toolkit); with it, start the agent again"

/**
 * Looks where node-llama-cpp looks: without these libraries it would not touch the CUDA build, so that there is no use in
 * fetching it.
 * @returns the version, or null when one of the libraries is missing
 */
export function findCudaRuntime(surroundings: CudaSurroundings): number | null {
  const { platform, exists } = surroundings
  const folders = platform === 'win32' ? windowsFolders(surroundings) : linuxFolders(surroundings)
  const isThere = (name: string) => folders.some(folder => exists(join(folder, name)))
  const fileName = (library: string, version: number) =>
    platform === 'win32' ? `${library}64_${version}.dll` : `lib${library}.so.${version}`
  const found = versions.find(version =>
    libraries.every(library => isThere(fileName(library, version))),
  )
  return found ?? null
}

const partsOf = (path: string | undefined, delimiter: string): readonly string[] =>
  (path ?? '').split(delimiter).filter(part => part !== '')

function linuxFolders({ environment, list }: CudaSurroundings): readonly string[] {
  const toolkits = [
    ...partsOf(environment['CUDA_PATH'], ':'),
    '/usr/local/cuda',
    ...list('/usr/local')
      .filter(name => name.startsWith('cuda-'))
      .map(name => `/usr/local/${name}`),
  ]
  return [
    ...partsOf(environment['LD_LIBRARY_PATH'], ':'),
    ...partsOf(environment['CUDA_PATH'], ':'),
    '/usr/lib',
    '/usr/lib64',
    '/usr/lib/x86_64-linux-gnu',
    ...toolkits.map(toolkit => join(toolkit, 'targets', 'x86_64-linux', 'lib')),
  ]
}

/** The toolkit's installer puts its folder into PATH, where Windows looks for libraries. */
function windowsFolders({ environment }: CudaSurroundings): readonly string[] {
  const toolkits = partsOf(environment['CUDA_PATH'], ';')
  return [
    ...partsOf(environment['PATH'] ?? environment['Path'], ';'),
    ...toolkits.flatMap(toolkit => [toolkit, join(toolkit, 'bin')]),
  ]
}

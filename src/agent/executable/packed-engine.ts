import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { EngineSurroundings, PrepareEngine } from '../engine/prepare-engine.ts'
import { createStartLlamaEngine, workerEnvironment } from '../engine/llama-engine.ts'
import { createStartMeasuring } from '../engine/measuring.ts'
import type { BuildFacts } from './build-facts.ts'
import { cachePlaces } from './cache-places.ts'
import { chooseEngine, wantsCuda, type CudaState } from './choose-engine.ts'
import { cudaRuntimeMissing, findCudaRuntime } from './cuda-runtime.ts'
import { cudaPin, openCudaPack } from './fetch-cuda.ts'
import { PackCache, usableCacheDir, type OpenPack } from './pack-cache.ts'

/** Where Vulkan's loader lies when it is installed; a driver that nobody can load is no driver. */
const vulkanLoaders: readonly string[] = [
  '/usr/lib/x86_64-linux-gnu/libvulkan.so.1',
  '/usr/lib64/libvulkan.so.1',
  '/usr/lib/libvulkan.so.1',
  `${process.env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\vulkan-1.dll`,
]

type PreparedCuda =
  | { readonly state: 'ready'; readonly pack: OpenPack }
  | Exclude<CudaState, { readonly state: 'ready' }>

/**
 * The engine of the executable: its worker and libraries are unpacked once into the cache, and the worker is this same
 * file, run as Bun.
 */
export function packedEngine(facts: BuildFacts, runtime: Blob): PrepareEngine {
  return async surroundings => {
    const { stateDir, inventory, timers, log } = surroundings
    const { platform, arch, env: environment } = process
    const places = cachePlaces({ environment, platform, home: homedir(), stateDir })
    const place = await usableCacheDir(places)
    if ('problem' in place) return place
    const cache = new PackCache(place.dir, timers, log)
    const runtimePin = { kind: 'runtime', manifestSha256: facts.runtimeManifestSha256 } as const
    const opened = await cache.open({
      ...runtimePin,
      archive: async () => runtime.stream(),
    })
    if ('problem' in opened) return opened
    if (opened.outcome !== 'ready') log.info({ folder: opened.dir }, `engine ${opened.outcome}`)

    const { gpus } = await inventory
    const cuda = await preparedCuda(facts, cache, place.dir, surroundings)
    const vulkanLoader = vulkanLoaders.some(existsSync)
    const choice = chooseEngine({ platform, arch, gpus, cuda, vulkanLoader })
    if (choice.word !== null) log.warn(choice.word)
    log.info({ best: choice.build }, 'engine ready')
    // Also when they are of no use now: a driver that does not answer today may answer tomorrow.
    await cache.clean(facts.cuda === null ? [runtimePin] : [runtimePin, cudaPin(facts.cuda)])
    const options = {
      // node_modules is complete: were something missing, Bun must not go and fetch it.
      command: [process.execPath, '--no-install', join(opened.dir, 'worker', 'main.js')],
      directory: join(opened.dir, 'worker'),
      environment: {
        ...workerEnvironment(environment),
        BUN_BE_BUN: '1',
        // The cache is verified; Bun's own cache of transpiled files in the home directory is not.
        BUN_RUNTIME_TRANSPILER_CACHE_PATH: '0',
        ...(cuda.state === 'ready' && { NODE_PATH: join(cuda.pack.dir, 'node_modules') }),
      },
      after: (ms: number, callback: () => void) => timers.after(ms, callback),
    }
    return {
      startEngine: createStartLlamaEngine(options),
      startMeasuring: createStartMeasuring(options),
      version: `node-llama-cpp ${facts.engineVersion} ${choice.build} ${facts.runtimeManifestSha256.slice(0, 8)}`,
    }
  }
}

/** The CUDA libraries, where the machine has a use for them. */
async function preparedCuda(
  { cuda }: BuildFacts,
  cache: PackCache,
  cacheDir: string,
  { enrolment, inventory, timers, log, signal }: EngineSurroundings,
): Promise<PreparedCuda> {
  const { platform, arch, env: environment } = process
  const { gpus } = await inventory
  if (cuda === null || !wantsCuda({ platform, arch, gpus })) return { state: 'not_built' }
  const runtime = findCudaRuntime({ platform, environment, exists: existsSync, list: namesIn })
  if (runtime === null) return { state: 'failed', reason: cudaRuntimeMissing }
  const { identity, caPem } = enrolment
  const { origin } = identity
  const deps = { cache, cacheDir, origin, caPem, timers, log, signal }
  const pack = await openCudaPack(cuda, deps)
  return 'dir' in pack ? { state: 'ready', pack } : { state: 'failed', reason: pack.problem }
}

const namesIn = (folder: string): readonly string[] =>
  existsSync(folder) ? readdirSync(folder) : []

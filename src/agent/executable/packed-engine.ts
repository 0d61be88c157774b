import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { PrepareEngine } from '../engine/prepare-engine.ts'
import { createStartLlamaEngine, workerEnvironment } from '../engine/llama-engine.ts'
import { createStartMeasuring } from '../engine/measuring.ts'
import type { BuildFacts } from './build-facts.ts'
import { cachePlaces } from './cache-places.ts'
import { chooseEngine, wantsCuda, type CudaState } from './choose-engine.ts'
import { cudaPin, openCudaPack } from './fetch-cuda.ts'
import { PackCache, usableCacheDir, type OpenPack } from './pack-cache.ts'

/** Where Vulkan's loader lies when it is installed; a driver that nobody can load is no driver. */
const vulkanLoaders: readonly string[] = [
  '/usr/lib/x86_64-linux-gnu/libvulkan.so.1',
  '/usr/lib64/libvulkan.so.1',
  '/usr/lib/libvulkan.so.1',
  `${process.env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\vulkan-1.dll`,
]

/**
 * The engine of the executable: its worker and libraries are unpacked once into the cache, and the worker is this same
 * file, run as Bun.
 */
export function packedEngine(facts: BuildFacts, runtime: Blob): PrepareEngine {
  return async surroundings => {
    const { stateDir, enrolment, inventory, timers, log, signal } = surroundings
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
    let cuda: OpenPack | null = null
    let state: CudaState = { state: 'not_built' }
    if (facts.cuda !== null && wantsCuda({ platform, arch, gpus })) {
      const { identity, caPem } = enrolment
      const deps = {
        cache,
        cacheDir: place.dir,
        origin: identity.origin,
        caPem,
        timers,
        log,
        signal,
      }
      const fetched = await openCudaPack(facts.cuda, deps)
      if ('dir' in fetched) cuda = fetched
      state = 'dir' in fetched ? { state: 'ready' } : { state: 'failed', reason: fetched.problem }
    }
    const vulkanLoader = vulkanLoaders.some(existsSync)
    const choice = chooseEngine({ platform, arch, gpus, cuda: state, vulkanLoader })
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
        ...(cuda !== null && { NODE_PATH: join(cuda.dir, 'node_modules') }),
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

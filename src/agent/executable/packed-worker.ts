import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { workerEnvironment } from '../engine/llama-engine.ts'
import type { PrepareWorker, ReadyWorker, WorkerProgram } from '../engine/worker-program.ts'
import type { Timers } from '../timers.ts'
import type { BuildFacts } from './build-facts.ts'
import { cachePlaces } from './cache-places.ts'
import { wantsCuda } from './choose-engine.ts'
import { cudaPin } from './fetch-cuda.ts'
import {
  PackCache,
  usableCacheDir,
  type OpenPack,
  type PackPin,
  type PackProblem,
} from './pack-cache.ts'

export type OpenRuntime = {
  readonly cache: PackCache
  readonly cacheDir: string
  readonly opened: OpenPack
}

export const runtimePin = (facts: BuildFacts): PackPin => ({
  kind: 'runtime',
  manifestSha256: facts.runtimeManifestSha256,
})

/** Unpacks the executable's worker and libraries into the cache, unless they are there. */
export async function openRuntime(
  facts: BuildFacts,
  runtime: Blob,
  { stateDir, timers, log }: { stateDir: string; timers: Timers; log: Logger },
): Promise<OpenRuntime | PackProblem> {
  const { platform, env: environment } = process
  const places = cachePlaces({ environment, platform, home: homedir(), stateDir })
  const place = await usableCacheDir(places)
  if ('problem' in place) return place
  const cache = new PackCache(place.dir, timers, log)
  const opened = await cache.open({ ...runtimePin(facts), archive: async () => runtime.stream() })
  if ('problem' in opened) return opened
  if (opened.outcome !== 'ready') log.info({ folder: opened.dir }, `engine ${opened.outcome}`)
  return { cache, cacheDir: place.dir, opened }
}

/** The worker is this same file, run as Bun. */
export const packedWorker = (runtime: OpenPack, cuda: OpenPack | null): WorkerProgram => ({
  // node_modules is complete: were something missing, Bun must not go and fetch it.
  command: [process.execPath, '--no-install', join(runtime.dir, 'worker', 'main.js')],
  directory: join(runtime.dir, 'worker'),
  environment: {
    ...workerEnvironment(process.env),
    BUN_BE_BUN: '1',
    // The cache is verified; Bun's own cache of transpiled files in the home directory is not.
    BUN_RUNTIME_TRANSPILER_CACHE_PATH: '0',
    ...(cuda !== null && { NODE_PATH: join(cuda.dir, 'node_modules') }),
  },
})

/** For a look at the engine: as it would run now, with the CUDA libraries only if they were fetched before. */
export function preparePackedWorker(facts: BuildFacts, runtime: Blob): PrepareWorker {
  return async ({ stateDir, gpus, timers, log }) => {
    const place = await openRuntime(facts, runtime, { stateDir, timers, log })
    if ('problem' in place) return place
    const { platform, arch } = process
    let cuda: OpenPack | null = null
    let state: ReadyWorker['cuda'] = { state: 'not_built' }
    if (facts.cuda !== null && wantsCuda({ platform, arch, gpus })) {
      const fetched = await place.cache.open({
        ...cudaPin(facts.cuda),
        archive: async () => ({ problem: 'not fetched yet' }),
      })
      if ('dir' in fetched) cuda = fetched
      state =
        'dir' in fetched
          ? { state: 'ready' }
          : { state: 'not_fetched', sizeBytes: facts.cuda.sizeBytes }
    }
    return { program: packedWorker(place.opened, cuda), cuda: state }
  }
}

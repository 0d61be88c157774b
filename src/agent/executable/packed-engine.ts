import { existsSync, readdirSync } from 'node:fs'
import type { EngineSurroundings, PrepareEngine } from '../engine/prepare-engine.ts'
import { driverWorkarounds, logWorkarounds, withWorkarounds } from '../engine/driver-workarounds.ts'
import { createStartLlamaEngine } from '../engine/llama-engine.ts'
import { createStartMeasuring } from '../engine/measuring.ts'
import type { BuildFacts } from './build-facts.ts'
import { chooseEngine, wantsCuda, type CudaState } from './choose-engine.ts'
import { cudaRuntimeMissing, findCudaRuntime } from './cuda-runtime.ts'
import { cudaPin, openCudaPack } from './fetch-cuda.ts'
import type { OpenPack, PackCache } from './pack-cache.ts'
import { openRuntime, packedWorker, runtimePin } from './packed-worker.ts'
import { vulkanLoaderPath } from './vulkan-loader.ts'

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
    const { platform, arch } = process
    const place = await openRuntime(facts, runtime, { stateDir, timers, log })
    if ('problem' in place) return place
    const { cache, cacheDir, opened } = place

    const machine = await inventory
    const { gpus } = machine
    const cuda = await preparedCuda(facts, cache, cacheDir, surroundings)
    const vulkanLoader = vulkanLoaderPath() !== null
    const choice = chooseEngine({ platform, arch, gpus, cuda, vulkanLoader })
    if (choice.word !== null) log.warn(choice.word)
    log.info({ best: choice.build }, 'engine ready')
    // Also when they are of no use now: a driver that does not answer today may answer tomorrow.
    const pin = runtimePin(facts)
    await cache.clean(facts.cuda === null ? [pin] : [pin, cudaPin(facts.cuda)])
    const workarounds = driverWorkarounds(machine)
    logWorkarounds(workarounds, log)
    const program = packedWorker(opened, cuda.state === 'ready' ? cuda.pack : null)
    const options = {
      ...withWorkarounds(program, workarounds),
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

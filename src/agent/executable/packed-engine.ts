import type { PrepareEngine } from '../engine/prepare-engine.ts'
import { createStartLlamaEngine } from '../engine/llama-engine.ts'
import type { BuildFacts } from './build-facts.ts'
import { chooseEngine, wantsCuda, type CudaState } from './choose-engine.ts'
import { cudaPin, openCudaPack } from './fetch-cuda.ts'
import type { OpenPack } from './pack-cache.ts'
import { openRuntime, packedWorker, runtimePin } from './packed-worker.ts'
import { vulkanLoaderPath } from './vulkan-loader.ts'

/**
 * The engine of the executable: its worker and libraries are unpacked once into the cache, and the worker is this same
 * file, run as Bun.
 */
export function packedEngine(facts: BuildFacts, runtime: Blob): PrepareEngine {
  return async surroundings => {
    const { stateDir, enrolment, inventory, timers, log, signal } = surroundings
    const { platform, arch } = process
    const place = await openRuntime(facts, runtime, { stateDir, timers, log })
    if ('problem' in place) return place
    const { cache, cacheDir, opened } = place

    const { gpus } = await inventory
    let cuda: OpenPack | null = null
    let state: CudaState = { state: 'not_built' }
    if (facts.cuda !== null && wantsCuda({ platform, arch, gpus })) {
      const { identity, caPem } = enrolment
      const deps = {
        cache,
        cacheDir,
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
    const vulkanLoader = vulkanLoaderPath() !== null
    const choice = chooseEngine({ platform, arch, gpus, cuda: state, vulkanLoader })
    if (choice.word !== null) log.warn(choice.word)
    log.info({ best: choice.build }, 'engine ready')
    // Also when they are of no use now: a driver that does not answer today may answer tomorrow.
    const pin = runtimePin(facts)
    await cache.clean(facts.cuda === null ? [pin] : [pin, cudaPin(facts.cuda)])
    return createStartLlamaEngine({
      ...packedWorker(opened, cuda),
      after: (ms, callback) => timers.after(ms, callback),
    })
  }
}

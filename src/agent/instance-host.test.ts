import { expect, test } from 'bun:test'
import { pino } from 'pino'
import type { AgentMessage } from '../protocol/agent-message.ts'
import type { Failure } from '../protocol/errors.ts'
import { newInstanceId } from '../protocol/ids.ts'
import { limits } from '../protocol/limits.ts'
import { agentLimits } from './agent-limits.ts'
import type { Load } from '../protocol/server-message.ts'
import type { EngineEvent, EngineModel } from './engine/engine.ts'
import type { ExternalWish } from './external/external-engines.ts'
import { InstanceHost } from './instance-host.ts'
import { planLoad, type GpuMemory } from './model-need.ts'

const load: Load = {
  type: 'load',
  instanceId: newInstanceId(),
  manifest: {
    name: 'demo',
    sha256: 'a'.repeat(64),
    sizeBytes: 1,
    architecture: 'llama',
    quantisation: null,
    contextTokensTrained: 512,
    chatTemplateSha256: null,
  },
  sources: [{ kind: 'url', url: '/models/a' }],
  contextTokens: 64,
  slots: 1,
}

type Search = {
  readonly signal: AbortSignal
  readonly end: (found: { path: string } | Failure) => void
}

/** A host whose files arrive when the test says so, and whose engines only note what they were started with. */
function bench(gpu: GpuMemory = { state: 'none' }, availableBytes = () => 2 ** 40) {
  const clock = { now: 0 }
  const timers: (() => void)[] = []
  const events: ((event: EngineEvent) => void)[] = []
  const activity: boolean[] = []
  const searches: Search[] = []
  const started: EngineModel[] = []
  const closed: EngineModel[] = []
  const said: AgentMessage[] = []
  const external: ExternalWish[] = []
  const host = new InstanceHost({
    clock: { now: () => clock.now },
    timers: {
      after: (ms, callback) => {
        // The look for idle models, which is there from the beginning and again after each time.
        if (ms !== agentLimits.idleCheckMs)
          timers.push(() => {
            clock.now += ms
            callback()
          })
        return () => {}
      },
    },
    log: pino({ level: 'silent' }),
    modelFiles: {
      obtain: (_, __, signal) => new Promise(end => searches.push({ signal, end })),
    },
    startEngine: (model, onEvent) => {
      started.push(model)
      events.push(onEvent)
      return {
        pid: 1,
        run: () => {},
        cancel: () => {},
        close: async () => void closed.push(model),
      }
    },
    startExternal: wish => {
      external.push(wish)
      return {
        pid: undefined,
        run: () => {},
        cancel: () => {},
        close: async () => {},
      }
    },
    chooseThreads: () => 1,
    availableBytes,
    gpuMemory: () => gpu,
    idleUnloadMs: null,
    quarantine: { files: [], add: () => {} },
    onActivity: busy => void activity.push(busy),
    say: message => void said.push(message),
    sendFrame: () => {},
  })
  return { host, searches, started, closed, said, activity, external, timers, events }
}

/** Lets everything that has been settled run to its end. */
const settled = () => new Promise<void>(resolve => setImmediate(resolve))

test('a file that arrives after its instance was unloaded starts nothing, also when it is loaded again', async () => {
  const { host, searches, started } = bench()
  host.order(load)
  host.order({ type: 'unload', instanceId: load.instanceId })
  expect(searches[0]?.signal.aborted).toBe(true)
  host.order(load)
  searches[0]?.end({ path: '/old.gguf' })
  await settled()
  expect(started).toEqual([])
  searches[1]?.end({ path: '/new.gguf' })
  await settled()
  expect(started).toEqual([
    { modelPath: '/new.gguf', contextTokens: 64, slots: 1, threads: 1, gpuLayers: 'auto' },
  ])
})

test('an unloaded model is reported when its engine is gone', async () => {
  const { host, searches, closed, said } = bench()
  host.order(load)
  searches[0]?.end({ path: '/m.gguf' })
  await settled()
  host.order({ type: 'unload', instanceId: load.instanceId })
  await settled()
  expect(closed).toHaveLength(1)
  expect(said.at(-1)).toMatchObject({ type: 'instance', status: { state: 'unloaded' } })
})

test('closing ends downloads and engines', async () => {
  const { host, searches, closed } = bench()
  host.order(load)
  searches[0]?.end({ path: '/m.gguf' })
  await settled()
  host.order({ ...load, instanceId: newInstanceId() })
  await host.close()
  expect(closed).toHaveLength(1)
  expect(searches[1]?.signal.aborted).toBe(true)
})

const demoPath = new URL('../../models/demo/gpupool-demo.gguf', import.meta.url).pathname

test('layers go where measured memory is, and what is loaded there is not given away twice', async () => {
  const plenty = { state: 'known', bytes: 2 ** 40, unified: false } as const
  const { gpuBytes } = planLoad(demoPath, load, plenty)
  const headroomBytes = limits.memoryHeadroomMb * 1024 ** 2
  const { host, searches, started } = bench({ ...plenty, bytes: headroomBytes + 1.5 * gpuBytes })
  host.order(load)
  searches[0]?.end({ path: demoPath })
  await settled()
  const second = newInstanceId()
  host.order({ ...load, instanceId: second })
  searches[1]?.end({ path: demoPath })
  await settled()
  expect(started[0]?.gpuLayers).toBe(7)
  expect(started[1]?.gpuLayers).not.toBe(7)
  host.order({ type: 'unload', instanceId: load.instanceId })
  host.order({ type: 'unload', instanceId: second })
  await settled()
  expect(host.modelsLoaded).toBe(false)
  host.order(load)
  searches[2]?.end({ path: demoPath })
  await settled()
  expect(started[2]?.gpuLayers).toBe(7)
})

test('an idle model leaves when another needs its memory, which is waited for', async () => {
  let availableBytes = 4 * gib
  const { host, searches, started, closed, said, timers, events } = bench(
    { state: 'none' },
    () => availableBytes,
  )
  const big = { ...load, manifest: { ...load.manifest, sizeBytes: 2 * gib } }
  host.order(big)
  searches[0]?.end({ path: '/a.gguf' })
  await settled()
  events[0]?.({ type: 'ready', contextTokens: 64, slots: 1, loadMs: 1 })
  const second = { ...big, instanceId: newInstanceId() }
  host.order({ ...second, manifest: { ...big.manifest, sha256: 'b'.repeat(64) } })
  searches[1]?.end({ path: '/b.gguf' })
  await settled()
  // The process is gone and its memory is not back yet.
  availableBytes = 2 * gib
  expect([closed.length, started.length]).toEqual([1, 1])
  expect(said).toContainEqual(
    expect.objectContaining({ instanceId: load.instanceId, status: { state: 'unloaded' } }),
  )
  timers.shift()?.()
  expect(started).toHaveLength(1)
  availableBytes = 4 * gib
  timers.shift()?.()
  expect(started.map(model => model.modelPath)).toEqual(['/a.gguf', '/b.gguf'])
  expect(timers).toEqual([])
})

const gib = 1024 ** 3

test('says that the machine is wanted before it begins anything, and when it is not any more', async () => {
  const { host, searches, started, activity } = bench()
  host.order(load)
  expect([activity, host.busy]).toEqual([[true], true])
  searches[0]?.end({ path: '/m.gguf' })
  await settled()
  expect([started.length, host.busy]).toEqual([1, true])
  host.order({ type: 'unload', instanceId: load.instanceId })
  expect([activity, host.busy]).toEqual([[true, false], false])
})

test('an external model is neither fetched nor measured: the owner’s engine is asked at once', () => {
  const { host, searches, started, external } = bench()
  const source = { kind: 'external', modelId: 'llama3.1:8b', fingerprint: null } as const
  host.order({ ...load, manifest: { ...load.manifest, sizeBytes: 0 }, sources: [source] })
  expect(external).toEqual([{ source, contextTokens: load.contextTokens }])
  expect([searches.length, started.length, host.modelsLoaded]).toEqual([0, 0, false])
})

import { expect, test } from 'bun:test'
import { pino } from 'pino'
import type { AgentMessage } from '../protocol/agent-message.ts'
import type { Failure } from '../protocol/errors.ts'
import { newInstanceId } from '../protocol/ids.ts'
import type { Load } from '../protocol/server-message.ts'
import type { EngineModel } from './engine/engine.ts'
import { InstanceHost } from './instance-host.ts'

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
function bench() {
  const searches: Search[] = []
  const started: EngineModel[] = []
  const closed: EngineModel[] = []
  const said: AgentMessage[] = []
  const host = new InstanceHost({
    clock: { now: () => 0 },
    log: pino({ level: 'silent' }),
    modelFiles: {
      obtain: (_, __, signal) => new Promise(end => searches.push({ signal, end })),
    },
    startEngine: model => {
      started.push(model)
      return {
        pid: 1,
        run: () => {},
        cancel: () => {},
        close: async () => void closed.push(model),
      }
    },
    chooseThreads: () => 1,
    availableBytes: () => 2 ** 40,
    hasGpu: false,
    say: message => void said.push(message),
    sendFrame: () => {},
  })
  return { host, searches, started, closed, said }
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
    { modelPath: '/new.gguf', contextTokens: 64, slots: 1, threads: 1, withoutGpu: false },
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

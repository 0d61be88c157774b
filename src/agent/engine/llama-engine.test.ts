import { describe, expect, test } from 'bun:test'
import { framePayloadBytesMax } from '../worker/frames.ts'
import { describeEngine } from './engine-conformance.ts'
import { chatJob, demoModel, EngineSession } from './engine-harness.ts'
import type { StartEngine } from './engine.ts'
import {
  createStartLlamaEngine,
  startLlamaEngine,
  type LlamaEngine,
  workerEnvironment,
  workerInputBytesMax,
} from './llama-engine.ts'

describeEngine('llama.cpp in a worker process', startLlamaEngine)

/** An engine whose worker is a script; `grace` gives the callback of the first timer as soon as it is set. */
function scripted(source: string): { session: EngineSession; grace: Promise<() => void> } {
  const { promise: grace, resolve } = Promise.withResolvers<() => void>()
  const start = createStartLlamaEngine({
    command: [process.execPath, '-e', source],
    directory: import.meta.dir,
    environment: workerEnvironment(process.env),
    after: (_ms, callback) => {
      resolve(callback)
      return () => undefined
    },
  })
  return { session: new EngineSession(start, demoModel), grace }
}

async function deathOf(session: EngineSession): Promise<{ exit: string; message: string }> {
  await session.until(() => session.eventOf('died') !== undefined)
  await session.engine.close()
  const deaths = session.events.filter(event => event.type === 'died')
  expect(deaths.length).toBe(1)
  return { exit: deaths[0]?.exit ?? '', message: deaths[0]?.error.message ?? '' }
}

const frame = (kind: number, payload: string) => `
  const payload = Buffer.from(${JSON.stringify(payload)})
  const head = Buffer.alloc(5)
  head.writeUInt32LE(payload.length + 1)
  head[4] = ${kind}
  process.stdout.write(Buffer.concat([head, payload]))
  await new Promise(() => {})
`

describe('a worker that goes wrong is one clear death', () => {
  test('an exit code and the last lines it wrote', async () => {
    const { session } = scripted('console.error("the driver is gone"); process.exit(3)')
    const { exit, message } = await deathOf(session)
    expect(exit).toBe('exit code 3')
    expect(message).toContain('the driver is gone')
  })

  test('text instead of frames', async () => {
    const { session } = scripted(
      'console.log("llama_model_loader: loaded"); setInterval(() => {}, 1e6)',
    )
    expect((await deathOf(session)).message).toContain('over the limit')
  })

  test('a message of no known shape', async () => {
    const { session } = scripted(frame(0, '{"type":"ready"}'))
    expect((await deathOf(session)).message).toContain('no known shape')
  })

  test('a token frame without a header', async () => {
    const { session } = scripted(frame(1, 'abc'))
    expect((await deathOf(session)).message).toContain('without a header')
  })

  test('an executable that does not exist', async () => {
    const start = createStartLlamaEngine({
      command: ['/nowhere/worker'],
      directory: import.meta.dir,
      environment: {},
      after: () => () => undefined,
    })
    const session = new EngineSession(start, demoModel)
    expect((await deathOf(session)).exit).toBe('not started')
    expect(session.engine.pid).toBeUndefined()
  })

  test('reports about jobs that nobody gave it are dropped', async () => {
    const report = JSON.stringify({
      type: 'finished',
      stream: 77,
      attempt: 1,
      reason: 'stop',
      tokens: 1,
    })
    const { session } = scripted(`${frame(0, report).replace('await new Promise(() => {})', '')}`)
    await deathOf(session)
    expect(session.eventOf('finished')).toBeUndefined()
  })
})

test('a worker that does not go when asked is killed after the grace', async () => {
  const { session, grace } = scripted('setInterval(() => {}, 1e6)')
  const closed = session.engine.close()
  const kill = await grace
  kill()
  await closed
  expect(() => process.kill(session.engine.pid ?? 0, 0)).toThrow()
})

test('requests to a worker that does not read have a bound; the job over it is refused', async () => {
  const { session, grace } = scripted('setInterval(() => {}, 1e6)')
  const megabyte = 'x'.repeat(1024 * 1024)
  const accepted = workerInputBytesMax / megabyte.length - 1
  const answers = Array.from({ length: accepted + 3 }, () => session.begin(chatJob(megabyte)))
  await session.until(() => answers.at(-1)?.ended !== null)
  expect(answers.at(-1)?.ended).toMatchObject({ error: { code: 'agent_refused' } })
  expect(answers.filter(answer => answer.ended === null).length).toBeGreaterThan(accepted - 3)
  const closed = session.engine.close()
  const kill = await grace
  kill()
  await closed
})

test('a job too large for one frame is refused alone; the worker goes on', async () => {
  const session = new EngineSession(startLlamaEngine, { ...demoModel, slots: 1 })
  try {
    const large = session.begin(chatJob('x'.repeat(framePayloadBytesMax)))
    expect(large.ended).toMatchObject({ error: { code: 'payload_too_large' } })
    expect((await session.ask(chatJob('hello'))).text).toBe('Hello! How can I help you?')
  } finally {
    await session.engine.close()
  }
})

test('streams at their answers share their batches, and the worker counts them', async () => {
  const engines: LlamaEngine[] = []
  const start: StartEngine = (model, onEvent) => {
    const engine = startLlamaEngine(model, onEvent)
    engines.push(engine)
    return engine
  }
  const session = new EngineSession(start, demoModel)
  const story = chatJob('Tell me a short story.')
  await Promise.all([1, 2, 3, 4].map(() => session.ask(story)))
  const counts = await engines[0]?.statistics()
  await session.engine.close()
  expect(await engines[0]?.statistics()).toBeNull()
  const { answerTokens = 0, answerTokensIfFull = 0, answerPasses = 0 } = counts ?? {}
  expect(answerTokens / answerTokensIfFull).toBeGreaterThan(0.95)
  // A dispatcher that always misses one stream of four has three in a batch.
  expect(answerTokens / answerPasses).toBeGreaterThan(3.2)
})

test('a job for a worker that has died is lost without a throw', async () => {
  const { session } = scripted('process.exit(1)')
  await deathOf(session)
  expect(session.begin(chatJob('hello')).ended).toBeNull()
})

test('a worker gets no keys and no proxies, and starts no debugger when it aborts', () => {
  expect(
    workerEnvironment({ PATH: '/bin', GPUPOOL_ADMIN_KEY: 'k', HTTPS_PROXY: 'p', HOME: undefined }),
  ).toEqual({ PATH: '/bin', GGML_NO_BACKTRACE: '1' })
})

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import {
  byteStream,
  content,
  delta,
  ended,
  eventStream,
  FakeOpenAiServer,
  usage,
} from '../../../test/support/fake-openai-server.ts'
import { systemClock } from '../../clock.ts'
import type { FinishReason } from '../../protocol/chat-job.ts'
import { describeEngine } from '../engine/engine-conformance.ts'
import { chatJob, demoModel, EngineSession } from '../engine/engine-harness.ts'
import type { StartEngine } from '../engine/engine.ts'
import { processTimers, type Timers } from '../timers.ts'
import { ExternalEngine, healthCheckTimeoutMs } from './external-engine.ts'
import { sseLineBytesMax } from './sse-reader.ts'
import { usageWaitMs } from './stream-completion.ts'

const startOn =
  (server: () => FakeOpenAiServer, timers: Timers = processTimers): StartEngine =>
  ({ slots, contextTokens }, onEvent) =>
    new ExternalEngine(
      { clock: systemClock, timers },
      {
        model: {
          modelId: 'demo',
          engine: 'llama-server',
          fingerprint: 'f'.repeat(64),
          contextTokens: 1_024,
          slots,
          server: { base: server().url, apiKey: 'secret' },
        },
        contextTokens,
      },
      onEvent,
    )

let shared: FakeOpenAiServer
beforeAll(() => {
  shared = new FakeOpenAiServer()
})
afterAll(() => shared.stop())
describeEngine(
  'an OpenAI-compatible server',
  startOn(() => shared),
  { tokenIds: false, ownProcess: false },
)

let server: FakeOpenAiServer
let session: EngineSession
/** Timers that fire when the test says so. */
let due: { ms: number; fire: () => void; cancelled: boolean }[] = []
const timers: Timers = {
  after(ms, fire) {
    const timer = { ms, fire, cancelled: false }
    due.push(timer)
    return () => (timer.cancelled = true)
  },
}
const timer = (ms: number) => due.find(each => each.ms === ms && !each.cancelled)

beforeEach(() => {
  due = []
  server = new FakeOpenAiServer({ apiKey: 'secret' })
  session = new EngineSession(
    startOn(() => server, timers),
    demoModel,
  )
})
afterEach(async () => {
  await session.engine.close()
  await server.stop()
})

const ready = () => session.until(() => session.eventOf('ready') !== undefined)

/** An answer of these events and nothing else. */
async function askFor(...events: (object | string)[]) {
  await ready()
  server.answer = () => eventStream(events)
  return await session.ask(chatJob('anything'))
}

const finished = (reason: FinishReason, tokens: number) => ({ type: 'finished', reason, tokens })
const failedWith = (code: string, text: string | RegExp) => ({
  type: 'failed',
  error: { code, message: expect.stringMatching(text) },
})

test('sends what OpenAI’s reference has: messages, tools, sampling, seed, stop, usage, and the key', async () => {
  await ready()
  const parameters = { type: 'object' }
  await session.ask(
    chatJob('', {
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'weather?' },
        {
          role: 'assistant',
          content: null,
          toolCalls: [{ id: 'c1', name: 'get', arguments: '{"a":1}' }],
        },
        { role: 'tool', content: 'rain', toolCallId: 'c1' },
      ],
      tools: [{ name: 'get', description: 'Gets', parameters }],
      sampling: { temperature: 0.5, topP: 0.9, seed: 7 },
      maxTokens: 3,
      stop: ['END'],
    }),
  )
  expect(server.requests.at(-1)).toEqual({
    model: 'demo',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'weather?' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'c1', type: 'function', function: { name: 'get', arguments: '{"a":1}' } },
        ],
      },
      { role: 'tool', content: 'rain', tool_call_id: 'c1' },
    ],
    tools: [{ type: 'function', function: { name: 'get', description: 'Gets', parameters } }],
    temperature: 0.5,
    top_p: 0.9,
    seed: 7,
    stop: ['END'],
    max_tokens: 3,
    stream: true,
    stream_options: { include_usage: true },
    timings_per_token: true,
  } as never)
})

describe('what engines do in their own ways', () => {
  test('reasoning comes under either name', async () => {
    const answer = await askFor(
      delta({ reasoning_content: 'I ' }),
      delta({ reasoning: 'think.' }),
      content('So: 4'),
      ended('stop'),
      usage(31),
      '[DONE]',
    )
    expect(answer.output).toEqual([
      { kind: 'reasoning', text: 'I think.' },
      { kind: 'answer', text: 'So: 4' },
    ])
    expect(answer.started?.promptTokens).toBe(31)
    expect(answer.ended).toMatchObject(finished('stop', 3))
  })

  test('a stream without [DONE], without usage, or with usage in the last chunk', async () => {
    expect((await askFor(content('a'), ended('stop'))).ended).toMatchObject(finished('stop', 1))
    const answer = await askFor(content('a'), { ...ended('length'), usage: { prompt_tokens: 5 } })
    expect(answer.ended).toMatchObject(finished('length', 1))
    expect(answer.started?.promptTokens).toBe(5)
  })

  test('the prompt’s figure is told with the first piece where the engine says it there', async () => {
    await ready()
    server.answer = () =>
      eventStream([{ ...content('a'), timings: { prompt_n: 3, cache_n: 9 } }, content('b')], 'hang')
    const answer = session.begin(chatJob('x'))
    await session.until(() => answer.frames.length === 2)
    expect(answer.started?.promptTokens).toBe(12)
  })

  test('[DONE] without a reason is an end', async () => {
    expect((await askFor(content('a'), '[DONE]')).ended).toMatchObject(finished('stop', 1))
  })

  test('a whole tool call without an index, and one without an id; stop is then the end of a call', async () => {
    const call = (name: string) => ({ function: { name, arguments: '{}' } })
    const answer = await askFor(
      delta({ tool_calls: [call('a')] }),
      delta({ tool_calls: [call('b')] }),
      ended('stop'),
    )
    expect(answer.toolCalls.map(({ index, name }) => [index, name])).toEqual([
      [0, 'a'],
      [1, 'b'],
    ])
    expect(new Set(answer.toolCalls.map(({ id }) => id)).size).toBe(2)
    expect(answer.ended).toMatchObject(finished('tool_calls', 2))
  })

  test('a character that is cut between two packets', async () => {
    await ready()
    const bytes = new TextEncoder().encode(
      `: hi\r\n\r\ndata: ${JSON.stringify(content('naïve 🦙'))}\r\n\r\ndata: ${JSON.stringify(ended('stop'))}\r\n\r\n`,
    )
    server.answer = () => byteStream([...bytes].map(byte => Uint8Array.of(byte)))
    expect((await session.ask(chatJob('x'))).text).toBe('naïve 🦙')
  })

  test('usage that never comes is not waited for for long', async () => {
    await ready()
    server.answer = () => eventStream([content('a'), ended('stop')], 'hang')
    const answer = session.begin(chatJob('x'))
    await session.until(() => answer.frames.length > 0)
    while (timer(usageWaitMs) === undefined) await new Promise(resolve => setImmediate(resolve))
    timer(usageWaitMs)?.fire()
    await session.until(() => answer.ended !== null)
    expect(answer.ended).toMatchObject(finished('stop', 1))
  })

  test('one piece more than tokens were asked for is delivered without a token', async () => {
    await ready()
    server.answer = () => eventStream([content('a'), content('b'), content('c'), ended('length')])
    const answer = await session.ask(chatJob('x', { maxTokens: 2 }))
    expect(answer.text).toBe('abc')
    expect(answer.frames.map(({ index, tokenId }) => [index, tokenId])).toEqual([
      [0, 'unknown'],
      [1, 'unknown'],
      [2, null],
    ])
    expect(answer.ended).toMatchObject(finished('length', 2))
  })

  test('an engine that does not stop at the limit is cut off', async () => {
    await ready()
    server.answer = () => eventStream(Array.from({ length: 200 }, () => content('x'.repeat(100))))
    const answer = await session.ask(chatJob('x', { maxTokens: 2 }))
    expect(answer.text).toBe('x'.repeat(200))
    expect(answer.ended).toMatchObject(finished('length', 2))
  })
})

describe('what goes wrong is a failure of the job, and the next one is answered', () => {
  afterEach(async () => {
    server.answer = null
    expect((await session.ask(chatJob('hello'))).text).toBe('Hello! How can I help you?')
    expect(session.eventOf('died')).toBeUndefined()
  })

  test.each([
    ['no JSON', 'data: {"choices": [', 'no chunk'],
    ['JSON of another shape', 'data: {"choices": [{"delta": {"content": 5}}]}', 'no chunk'],
    ['a line without an end', `data: ${'x'.repeat(sseLineBytesMax)}`, 'more than'],
  ])('%s', async (_, line, text) => {
    await ready()
    const bytes = new TextEncoder().encode(`data: ${JSON.stringify(content('a'))}\n\n${line}\n\n`)
    server.answer = () => byteStream([bytes], 'hang')
    const answer = await session.ask(chatJob('x'))
    expect(answer.text).toBe('a')
    expect(answer.ended).toMatchObject(failedWith('internal', text))
  })

  test('an error in mid-answer', async () => {
    const answer = await askFor(content('a'), {
      error: { message: 'secret prompt', type: 'server_error', code: 500 },
    })
    expect(answer.ended).toMatchObject(
      failedWith('internal', /^the engine refused in mid-answer \(server_error\)$/),
    )
  })

  test.each([
    [400, 'invalid_request', {}],
    [400, 'prompt_too_long', { message: "This model's maximum context length is 10 tokens" }],
    [401, 'model_load_failed', {}],
    [404, 'model_load_failed', {}],
    [429, 'agent_refused', {}],
    [500, 'internal', { message: 'secret prompt' }],
    [503, 'agent_refused', {}],
  ] as const)('HTTP status %d is %s', async (status, code, error) => {
    await ready()
    server.answer = () => Response.json({ error }, { status })
    const answer = await session.ask(chatJob('secret prompt'))
    expect(answer.ended).toMatchObject(failedWith(code, `HTTP status ${status}`))
    expect(JSON.stringify(answer.ended)).not.toContain('secret')
  })

  test('a connection that is cut in mid-answer, while the engine is still there', async () => {
    await ready()
    server.answer = () => eventStream([content('a'), content('b')], 'break')
    const answer = await session.ask(chatJob('x'))
    expect(answer.ended).toMatchObject(failedWith('worker_died', 'broke off its answer'))
    expect('ab').toStartWith(answer.text)
  })

  test('a stream that just ends', async () => {
    const answer = await askFor(content('a'))
    expect(answer.ended).toMatchObject(failedWith('worker_died', 'broke off its answer'))
  })

  test('a redirect is not followed: it could lead to another machine', async () => {
    await ready()
    server.answer = () => Response.redirect('http://127.0.0.1:9/v1/chat/completions', 307)
    const answer = await session.ask(chatJob('x'))
    expect(answer.ended).toMatchObject({ type: 'failed' })
  })

  test('a hang: nothing happens here, and a cancel closes the connection', async () => {
    await ready()
    server.answer = () => eventStream([content('a')], 'hang')
    const answer = session.begin(chatJob('x'))
    await session.until(() => answer.frames.length === 1)
    session.engine.cancel(answer.stream, 1)
    while (server.aborted === 0) await new Promise(resolve => setImmediate(resolve))
    expect(answer.ended).toBeNull()
  })
})

describe('an engine that goes away', () => {
  test('is one death in mid-answer, for all its jobs, and nothing follows', async () => {
    await ready()
    server.answer = () => eventStream([content('a')], 'hang')
    const answers = [session.begin(chatJob('x')), session.begin(chatJob('y'))]
    await session.until(() => answers.every(answer => answer.frames.length > 0))
    await server.stop()
    await session.until(() => session.eventOf('died') !== undefined)
    await session.engine.close()
    expect(session.events.at(-1)).toMatchObject({
      type: 'died',
      exit: 'no answer',
      error: { code: 'worker_died' },
    })
    expect(session.events.filter(({ type }) => type === 'died').length).toBe(1)
    expect(answers.map(answer => answer.ended)).toEqual([null, null])
  })

  test('is one death when the next job finds nobody', async () => {
    await ready()
    await server.stop()
    session.begin(chatJob('x'))
    await session.until(() => session.eventOf('died') !== undefined)
    expect(session.eventOf('died')?.error.message).toContain('does not answer')
  })
})

describe('the health check', () => {
  const loadFailure = async (other: EngineSession) => {
    await other.until(() => other.eventOf('load_failed') !== undefined)
    await other.engine.close()
    return other.eventOf('load_failed')?.error
  }
  const sessionWith = (model = demoModel) =>
    new EngineSession(
      startOn(() => server, timers),
      model,
    )

  test('makes one token', async () => {
    await ready()
    expect(server.requests.map(({ max_tokens }) => max_tokens)).toEqual([1])
  })

  test('fails where nobody answers, and so do the jobs that waited for it', async () => {
    await server.stop()
    const other = sessionWith()
    const answer = other.begin(chatJob('x'))
    await other.until(() => answer.ended !== null)
    expect(answer.ended).toMatchObject(failedWith('model_load_failed', 'does not answer'))
    expect((await loadFailure(other))?.code).toBe('model_load_failed')
  })

  test('fails on an engine that answers with an error', async () => {
    server.answer = () => new Response('out of memory', { status: 500 })
    expect((await loadFailure(sessionWith()))?.message).toContain('HTTP status 500')
  })

  test('fails where no token comes in time', async () => {
    await ready()
    due = []
    server.answer = () => eventStream([], 'hang')
    const other = sessionWith()
    while (timer(healthCheckTimeoutMs) === undefined)
      await new Promise(resolve => setImmediate(resolve))
    timer(healthCheckTimeoutMs)?.fire()
    expect((await loadFailure(other))?.message).toContain('no token within 300 s')
  })

  test('refuses where the engine’s context is smaller than what the pool promises', async () => {
    const failure = await loadFailure(sessionWith({ ...demoModel, contextTokens: 2_048 }))
    expect(failure?.message).toContain('1024 tokens; the catalogue promises 2048')
  })
})

test('proxies of the environment are passed by', async () => {
  await ready()
  const before = process.env['HTTP_PROXY']
  process.env['HTTP_PROXY'] = 'http://127.0.0.1:9'
  try {
    expect((await session.ask(chatJob('hello'))).text).toBe('Hello! How can I help you?')
  } finally {
    if (before === undefined) delete process.env['HTTP_PROXY']
    else process.env['HTTP_PROXY'] = before
  }
})

import { describe, expect, test } from 'bun:test'
import { ManualTime } from '../../../test/support/manual-time.ts'
import { ScriptedInference } from '../../../test/support/scripted-inference.ts'
import { newJobId } from '../../protocol/ids.ts'
import type { InferenceRequest } from '../inference.ts'
import { keepAliveIntervalMs, streamChat } from './chat-stream.ts'
import { waitingTextUnitsMax } from './text-stream.ts'

const receivedAt = 1_795_000_000_500

function setUp(options: { includeUsage?: boolean } = {}) {
  const time = new ManualTime(receivedAt)
  const inference = new ScriptedInference()
  const client = new AbortController()
  const request: InferenceRequest = {
    jobId: newJobId(),
    keyId: 'k',
    model: 'llama',
    chat: {
      messages: [{ role: 'user', content: 'hi' }],
      tools: [],
      sampling: { temperature: 1, topP: 1, seed: 1 },
      maxTokens: null,
      stop: [],
      renderTimeMs: receivedAt,
    },
    receivedAt,
  }
  const deps = { inference, clock: time, startTimer: time.startTimer }
  const { includeUsage = false } = options
  const open = () =>
    streamChat(deps, [request], { includeUsage, tier: null, signal: client.signal })
  return { time, inference, client, request, open, job: () => inference.submissions[0]! }
}

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)
const events = (body: string) =>
  body
    .split('\n\n')
    .filter(part => part.startsWith('data: '))
    .map(part => part.slice('data: '.length))
const deltas = (body: string) =>
  events(body)
    .filter(data => data !== '[DONE]')
    .map(data => JSON.parse(data).choices[0]?.delta)

describe('the events of a stream', () => {
  test('are those of OpenAI: role, content, end, [DONE]', async () => {
    const { open, job, request } = setUp()
    const response = open()
    job().say('Hel"lo\n')
    job().say(' 🦊')
    job().finish('length')
    const body = await (await response).text()
    const common = {
      id: `chatcmpl-${request.jobId}`,
      object: 'chat.completion.chunk',
      created: 1_795_000_000,
      model: 'llama',
    }
    const chunk = (delta: object, finish_reason: string | null = null) => ({
      ...common,
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    })
    const seen = events(body)
    expect(seen.at(-1)).toBe('[DONE]')
    expect(seen.slice(0, -1).map(data => JSON.parse(data))).toEqual([
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'Hel"lo\n' }),
      chunk({ content: ' 🦊' }),
      chunk({}, 'length'),
    ])
  })

  test('carry usage in a last chunk without choices when it was asked for, and null before', async () => {
    const { open, job } = setUp({ includeUsage: true })
    const response = open()
    job().say('a')
    job().finish('stop', 3)
    const chunks = events(await (await response).text())
      .slice(0, -1)
      .map(data => JSON.parse(data))
    expect(chunks.slice(0, -1).map(chunk => chunk.usage)).toEqual([null, null, null])
    expect(chunks.at(-1).choices).toEqual([])
    expect(chunks.at(-1).usage).toEqual({
      prompt_tokens: 7,
      completion_tokens: 3,
      total_tokens: 10,
    })
  })

  test('carry reasoning apart from the answer', async () => {
    const { open, job } = setUp()
    const response = open()
    job().say('hm', 'reasoning')
    job().say('yes')
    job().finish()
    expect(deltas(await (await response).text())).toEqual([
      { role: 'assistant', content: '' },
      { reasoning_content: 'hm' },
      { content: 'yes' },
      {},
    ])
  })

  test('carry tool calls in parts, id and type in the first', async () => {
    const { open, job } = setUp()
    const response = open()
    job().say(JSON.stringify({ index: 0, id: 'c1', name: 'f', arguments: '' }), 'tool_call')
    job().say(JSON.stringify({ index: 0, arguments: '{"a":1}' }), 'tool_call')
    job().finish('tool_calls')
    expect(deltas(await (await response).text())).toEqual([
      { role: 'assistant', content: null },
      {
        tool_calls: [
          { index: 0, id: 'c1', type: 'function', function: { name: 'f', arguments: '' } },
        ],
      },
      { tool_calls: [{ index: 0, function: { arguments: '{"a":1}' } }] },
      {},
    ])
  })

  test('end with an error when a tool call is not what the protocol says, and the job is cancelled', async () => {
    const { open, job } = setUp()
    const response = open()
    job().say('a')
    job().say('not json', 'tool_call')
    const last = events(await (await response).text()).at(-1)!
    expect(JSON.parse(last).error.code).toBe('internal')
    expect(job().cancels).toBe(1)
  })
})

describe('a request that waits', () => {
  test('gets its headers at once, and its place in comments, before and amid the answer', async () => {
    const { open, job } = setUp()
    const opening = open()
    job().emit({ type: 'queued', position: 3, estimateMs: null })
    const response = await opening
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    job().emit({ type: 'queued', position: 2, estimateMs: 11_200 })
    job().say('a')
    job().emit({ type: 'queued', position: 1, estimateMs: 900 })
    job().say('b')
    job().finish()
    const body = await response.text()
    const comments = body.split('\n\n').filter(part => part.startsWith(':'))
    expect(comments).toEqual([
      ': queued position=3',
      ': queued position=2 estimate=12s',
      ': queued position=1 estimate=1s',
    ])
    expect(deltas(body).map(delta => delta.content)).toEqual(['', 'a', 'b', undefined])
  })

  test('and is then refused hears it as an event, in OpenAI’s words', async () => {
    const { open, job } = setUp()
    const opening = open()
    job().emit({ type: 'queued', position: 1, estimateMs: null })
    job().fail({ code: 'timeout', message: 'too long' })
    const response = await opening
    expect(response.status).toBe(200)
    expect(events(await response.text()).map(data => JSON.parse(data).error.code)).toEqual([
      'timeout',
    ])
  })
})

describe('a failure', () => {
  test('before the first event is an HTTP error', async () => {
    const { open, job } = setUp()
    const response = open()
    job().fail({ code: 'queue_full', message: 'full' })
    const { status, headers } = await response
    expect(status).toBe(429)
    expect(headers.get('retry-after')).toBe('2')
  })

  test('that is told within submit is an HTTP error too', async () => {
    const { open, inference, time } = setUp()
    inference.onSubmit = job => job.fail({ code: 'no_capable_agent', message: 'none' })
    expect((await open()).status).toBe(503)
    expect(time.timersRunning).toBe(0)
  })

  test('later is an event, and no [DONE] follows', async () => {
    const { open, job } = setUp()
    const response = open()
    job().say('a')
    job().fail({ code: 'agent_lost', message: 'lost' })
    const seen = events(await (await response).text())
    expect(JSON.parse(seen.at(-1)!)).toEqual({
      error: { message: 'lost', type: 'server_error', param: null, code: 'agent_lost' },
    })
  })

  test('does not show a client what a contributor’s machine wrote', async () => {
    const { open, job } = setUp()
    const response = open()
    job().fail({ code: 'model_load_failed', message: 'cannot open /home/ada/secret.gguf' })
    expect(await (await response).text()).not.toContain('ada')
  })
})

describe('while nothing comes', () => {
  test('headers and a comment go out after ten seconds', async () => {
    const { open, job, time } = setUp()
    const response = open()
    time.advance(keepAliveIntervalMs)
    const reader = (await response).body!.getReader()
    expect(text((await reader.read()).value)).toBe(': keep-alive\n\n')
    const next = reader.read()
    job().say('a')
    expect(text((await next).value)).toContain('"role":"assistant"')
  })

  test('a comment follows each ten seconds of silence, and none while tokens come', async () => {
    const { open, job, time } = setUp()
    const response = open()
    job().say('a')
    const reader = (await response).body!.getReader()
    await reader.read()
    const afterSilence = reader.read()
    time.advance(keepAliveIntervalMs - 1)
    time.advance(1)
    expect(text((await afterSilence).value)).toBe(': keep-alive\n\n')
    const afterToken = reader.read()
    time.advance(keepAliveIntervalMs - 1)
    job().say('b')
    expect(text((await afterToken).value)).toContain('"content":"b"')
    const quiet = reader.read()
    time.advance(keepAliveIntervalMs - 1)
    job().say('c')
    expect(text((await quiet).value)).toStartWith('data:')
  })

  test('no timer is left after the end', async () => {
    const { open, job, time } = setUp()
    const response = open()
    job().say('a')
    expect(time.timersRunning).toBe(1)
    job().finish()
    await (await response).text()
    expect(time.timersRunning).toBe(0)
  })
})

describe('what waits for the client', () => {
  test('leaves in one write', async () => {
    const { open, job } = setUp()
    const response = open()
    for (const word of ['a', 'b', 'c']) job().say(word)
    const reader = (await response).body!.getReader()
    expect(events(text((await reader.read()).value))).toHaveLength(4)
  })

  test('is bounded: a client that does not read loses its job and its connection', async () => {
    const { open, job } = setUp()
    const response = open()
    job().say('a')
    const reader = (await response).body!.getReader()
    const chunk = 'x'.repeat(64 * 1024)
    let said = 0
    while (job().cancels === 0 && said < 64) {
      job().say(chunk)
      said++
    }
    expect(said * chunk.length).toBeLessThan(waitingTextUnitsMax + 2 * chunk.length)
    expect(job().cancels).toBe(1)
    job().say('too late')
    await expect(reader.read()).rejects.toThrow('did not read')
  })
})

describe('a client that goes away', () => {
  test('before the first event cancels the job, once', async () => {
    const { open, job, client, time } = setUp()
    const response = open()
    client.abort()
    expect((await response).status).toBe(499)
    expect(job().cancels).toBe(1)
    expect(time.timersRunning).toBe(0)
  })

  test('in the middle cancels the job, once, however it is noticed', async () => {
    const { open, job, client, time } = setUp()
    const response = open()
    job().say('a')
    const reader = (await response).body!.getReader()
    await reader.read()
    await reader.cancel()
    client.abort()
    expect(job().cancels).toBe(1)
    expect(time.timersRunning).toBe(0)
  })

  test('after the end cancels nothing', async () => {
    const { open, job, client } = setUp()
    const response = open()
    job().say('a')
    job().finish()
    const reader = (await response).body!.getReader()
    await reader.cancel()
    client.abort()
    expect(job().cancels).toBe(0)
  })

  test('before its request was read never reaches the pool', async () => {
    const { open, client, inference } = setUp()
    client.abort()
    expect((await open()).status).toBe(499)
    expect(inference.submissions).toHaveLength(0)
  })
})

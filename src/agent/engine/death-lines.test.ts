import { describe, expect, test } from 'bun:test'
import { chatJob, demoModel, EngineSession } from './engine-harness.ts'
import { DeathLines, tellLine } from './death-lines.ts'
import { startLlamaEngine } from './llama-engine.ts'

describe('what may be told of a line once there are jobs:', () => {
  const told: readonly [string, string][] = [
    [
      'llama.cpp/ggml/src/ggml-backend.cpp:1472: GGML_ASSERT(n > 0) failed',
      'ggml-backend.cpp:1472: an assertion failed',
    ],
    ['llama.cpp\\ggml\\src\\ggml-cuda.cu:88: CUDA error', 'ggml-cuda.cu:88: it gave up'],
    [
      'CUDA error: an illegal memory access was encountered',
      'CUDA error: an illegal memory access',
    ],
    ['CUDA error: out of memory', 'out of memory'],
    ['  what():  std::bad_alloc', 'out of memory'],
    [
      'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 900.00 MiB on device 0: cudaMalloc failed: out of memory',
      'out of memory',
    ],
    [
      "terminate called after throwing an instance of 'std::runtime_error'",
      'an exception: std::runtime_error',
    ],
    [
      'panic(main thread): Segmentation fault at address 0x7F12AB',
      'segmentation fault at 0x7F12AB',
    ],
  ]
  test.each(told)('%s', (line, expected) => {
    expect(tellLine(line)).toStartWith(expected)
  })

  test.each([
    "parse: error parsing grammar: Undefined rule identifier 'canary'",
    'root ::= "canary"',
    '  what():  Unexpected empty grammar stack after accepting piece: canary (17)',
    "terminate called after throwing an instance of 'canary'",
    'canary.cpp:1: GGML_ASSERT(canary) failed',
    'ggml.c:1: canary',
    'CUDA error: canary',
    'ggml_canary: canary out of memory canary',
    'Segmentation fault at address 0xC canary',
    'error: canary',
  ])('nothing of a client’s text in %s', line => {
    expect(tellLine(line) ?? '').not.toContain('canary')
  })
})

const bytes = (text: string) => new TextEncoder().encode(text)

test('before there are jobs the last lines are told as they are, behind them in our own words', () => {
  const lines = new DeathLines()
  lines.push(bytes('the driver is '))
  lines.push(bytes('gone\n'))
  lines.jobsBegin()
  lines.push(bytes('root ::= "canary"\nllama-context.cpp:7'))
  lines.push(bytes('5: GGML_ASSERT(x) failed\nanother canary'))
  expect(lines.text).toBe('the driver is gone\nllama-context.cpp:75: an assertion failed')
})

test('a line without end and lines without number have a bound', () => {
  const lines = new DeathLines()
  lines.jobsBegin()
  for (let i = 0; i < 100; i++) lines.push(bytes('x'.repeat(100_000)))
  for (let i = 0; i < 1_000; i++) lines.push(bytes(`\nggml.c:${i}: GGML_ASSERT(x) failed\n`))
  expect(lines.text.split('\n').length).toBe(12)
  expect(lines.text).toEndWith('ggml.c:999: an assertion failed')
})

// llama.cpp prints the whole text of each of these grammars, or an exception names a piece of the answer.
const refused = [
  'root ::= canaryRule',
  'root ::= "canary',
  'root ::= "canary"{1000000}',
  'root ::= "canary\\q"',
  'root ::= [canary',
  'root ::= <canary>',
  'root ::= "canary" <[99999999]>',
]

test('what a client wrote is in no error of a job, and not in what is told of the worker’s death', async () => {
  const session = new EngineSession(startLlamaEngine, demoModel)
  const canary = {
    messages: [{ role: 'user', content: 'canary' } as const],
    tools: [{ name: 'canary', description: 'canary', parameters: { const: 'canary' } }],
    stop: ['canaryStop'],
  }
  for (const grammar of refused) {
    const job = chatJob('canary', { ...canary, constraint: { grammar, asked: { grammar } } })
    expect((await session.ask(job)).ended).toMatchObject({
      type: 'failed',
      error: { code: 'invalid_request' },
    })
  }
  process.kill(session.engine.pid ?? 0, 'SIGABRT')
  await session.until(() => session.eventOf('died') !== undefined)
  expect(session.eventOf('died')?.error.message).toContain('SIGABRT')
  for (const event of session.events)
    if (event.type !== 'token_frame') expect(JSON.stringify(event)).not.toContain('canary')
})

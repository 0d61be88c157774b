import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Segment, ToolCallDelta } from '../../protocol/token-frame.ts'
import { AnswerReducer, toolCallCharsMax, type ReducerOptions } from './answer-reducer.ts'
import { heldSpaceCharsMax } from './space-gate.ts'

const plain: ReducerOptions = {
  stop: [],
  tools: false,
  singleToolCall: false,
  reasoning: 'none',
  toolCallSeed: 7,
}
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

type Run = {
  readonly segments: readonly Segment[]
  readonly stopped: boolean
  readonly finishReason: string
}

/** Pushes the pieces and flushes; neighbours of one kind are joined, calls stay apart. */
function reduce(options: ReducerOptions, pieces: readonly (string | Uint8Array)[]): Run {
  const reducer = new AnswerReducer(options)
  const segments: Segment[] = []
  const add = (more: readonly Segment[]) => {
    for (const segment of more) {
      const last = segments.at(-1)
      if (last !== undefined && last.kind === segment.kind && segment.kind !== 'tool_call')
        segments[segments.length - 1] = { kind: last.kind, text: last.text + segment.text }
      else segments.push(segment)
    }
  }
  for (const piece of pieces) add(reducer.push(typeof piece === 'string' ? bytesOf(piece) : piece))
  add(reducer.flush())
  return { segments, stopped: reducer.stopped, finishReason: reducer.finishReason }
}

const textOf = (run: Run, kind: string): string =>
  run.segments
    .filter(segment => segment.kind === kind)
    .map(segment => segment.text)
    .join('')
const callsOf = (run: Run): readonly ToolCallDelta[] =>
  run.segments
    .filter(segment => segment.kind === 'tool_call')
    .map(segment => JSON.parse(segment.text) as ToolCallDelta)

describe('plain text', () => {
  test('goes out at once when nothing can change it', () => {
    const reducer = new AnswerReducer(plain)
    expect(reducer.push(bytesOf('Hello '))).toEqual([{ kind: 'answer', text: 'Hello ' }])
    expect(reducer.push(bytesOf('<think> <tool_call>'))).toEqual([
      { kind: 'answer', text: '<think> <tool_call>' },
    ])
  })

  test('a character that is cut waits for its end', () => {
    const reducer = new AnswerReducer(plain)
    const fox = bytesOf('🦊')
    expect(reducer.push(fox.subarray(0, 2))).toEqual([])
    expect(reducer.push(fox.subarray(2))).toEqual([{ kind: 'answer', text: '🦊' }])
  })

  test('a character that never ends is U+FFFD at the end', () => {
    expect(reduce(plain, ['a', bytesOf('🦊').subarray(0, 3)]).segments).toEqual([
      { kind: 'answer', text: 'a\uFFFD' },
    ])
  })
})

describe('stop strings', () => {
  const options = { ...plain, stop: ['k brown 🦊 j', '\n\n'] }

  test('cut the answer where they begin, across tokens', () => {
    const run = reduce(options, ['quick', ' bro', 'wn ', '🦊', ' jumps', ' over'])
    expect(run).toMatchObject({ segments: [{ kind: 'answer', text: 'quic' }], stopped: true })
    expect(run.finishReason).toBe('stop')
  })

  test('give held text back when they do not come', () => {
    expect(textOf(reduce(options, ['quick brow', 'nie']), 'answer')).toBe('quick brownie')
    expect(textOf(reduce(options, ['quick brow']), 'answer')).toBe('quick brow')
  })

  test('text is held only while it may still be a stop string', () => {
    const reducer = new AnswerReducer(options)
    expect(reducer.push(bytesOf('a\n'))).toEqual([{ kind: 'answer', text: 'a' }])
    expect(reducer.push(bytesOf('b'))).toEqual([{ kind: 'answer', text: '\nb' }])
  })

  test('the one that begins first wins, and of those the shorter', () => {
    const run = reduce({ ...plain, stop: ['bcd', 'abcdef'] }, ['xabcd', 'ey'])
    expect(textOf(run, 'answer')).toBe('xa')
  })

  test('do not count in reasoning or in a call', () => {
    const run = reduce({ ...plain, stop: ['{'], tools: true, reasoning: 'tags' }, [
      '<think>a { b</think>\n\nyes ',
      '<tool_call>{"name":"f","arguments":{}}</tool_call>',
    ])
    expect(textOf(run, 'reasoning')).toBe('a { b')
    expect(textOf(run, 'answer')).toBe('yes')
    expect(callsOf(run).length).toBe(1)
    expect(run.stopped).toBe(false)
  })
})

describe('reasoning', () => {
  const tags = { ...plain, reasoning: 'tags' } as const

  test('goes out as its own kind, without the layout around the tags', () => {
    expect(reduce(tags, ['<th', 'ink>\nhm', ' hm\n', '</think>\n\n', 'Yes.']).segments).toEqual([
      { kind: 'reasoning', text: 'hm hm' },
      { kind: 'answer', text: 'Yes.' },
    ])
  })

  test('a tag behind the beginning of the answer is text', () => {
    const text = 'The tag <think> is text.'
    expect(textOf(reduce(tags, [text]), 'answer')).toBe(text)
  })

  test('may be open already when the prompt ends inside it', () => {
    expect(reduce({ ...plain, reasoning: 'open' }, ['\nhm', '</think>', 'Yes.']).segments).toEqual([
      { kind: 'reasoning', text: 'hm' },
      { kind: 'answer', text: 'Yes.' },
    ])
  })

  test('that never ends is still given out', () => {
    expect(reduce(tags, ['<think>hm ']).segments).toEqual([{ kind: 'reasoning', text: 'hm ' }])
  })
})

describe('tool calls', () => {
  const tools = { ...plain, tools: true }
  const call = (args: string) =>
    `<tool_call>\n{"name": "get_weather", "arguments": ${args}}\n</tool_call>`

  test('become deltas with ids, several in one answer, and the finish reason says so', () => {
    const run = reduce(tools, ['Let me see.\n\n', call('{"city": "Rome"}'), '\n', call('{}'), '\n'])
    expect(run.segments[0]).toEqual({ kind: 'answer', text: 'Let me see.' })
    expect(run.segments.length).toBe(3)
    expect(callsOf(run)).toEqual([
      { index: 0, id: expect.any(String), name: 'get_weather', arguments: '{"city": "Rome"}' },
      { index: 1, id: expect.any(String), name: 'get_weather', arguments: '{}' },
    ])
    expect(callsOf(run)[0]?.id).not.toBe(callsOf(run)[1]?.id)
    expect(run.finishReason).toBe('tool_calls')
  })

  test('have the same ids in a second run and others for another seed', () => {
    const ids = (seed: number) =>
      callsOf(reduce({ ...tools, toolCallSeed: seed }, [call('{}')])).map(delta => delta.id)
    expect(ids(7)).toEqual(ids(7))
    expect(ids(7)).not.toEqual(ids(8))
    expect(ids(7)[0]).toMatch(/^call_[0-9a-f]{24}$/)
  })

  test('keep their arguments as the model wrote them', () => {
    const args = '{"id": 12345678901234567890, "s": "a\\"}, \\u00e9", "l": [1, {"x": 2}]}'
    expect(callsOf(reduce(tools, [call(args)]))[0]?.arguments).toBe(args)
  })

  test('without a closing tag count when their JSON is complete', () => {
    const run = reduce(tools, ['<tool_call>{"arguments": {"a": 1}, "name": "f"}'])
    expect(callsOf(run)).toMatchObject([{ name: 'f', arguments: '{"a": 1}' }])
  })

  test('that are not valid come back as text, nothing lost', () => {
    for (const text of [
      'So:\n<tool_call>\n{"name": "f", "arguments": {\n</tool_call>\n and more ',
      '<tool_call>{"name": 3}</tool_call>',
      '<tool_call>[]</tool_call>',
      '<tool_call>',
      'a <tool_call> b',
    ]) {
      const run = reduce(tools, [text])
      expect(textOf(run, 'answer')).toBe(text)
      expect(run.finishReason).toBe('stop')
    }
  })

  test('a valid one inside a broken one is found', () => {
    const run = reduce(tools, ['<tool_call>oh ', call('{}')])
    expect(textOf(run, 'answer')).toBe('<tool_call>oh')
    expect(callsOf(run).length).toBe(1)
  })

  test('longer than the limit are text, so that a frame never gets too large', () => {
    const text = `<tool_call>{"name": "f", "arguments": {"a": "${'x'.repeat(toolCallCharsMax)}"}}</tool_call>`
    expect(textOf(reduce(tools, [text]), 'answer')).toBe(text)
  })

  test('are plain text when the job has no tools', () => {
    expect(textOf(reduce(plain, [call('{}')]), 'answer')).toBe(call('{}'))
  })
})

describe('however the bytes are cut', () => {
  const ingredient = fc.oneof(
    fc.constantFrom('<think>', '</think>', '<tool_call>', '</tool_call>', '<tool', '_call>', '</'),
    fc.constantFrom('\n', ' ', '\n\n', ' '.repeat(heldSpaceCharsMax), ' '.repeat(100)),
    fc.constantFrom('{"name": "f", "arguments": {"a": [1, "}"]}}', '{"name": "g"}', '{', '"'),
    fc.constantFrom('STOP', 'ST', 'OP', 'S', 'abc', 'bcd', 'a', 'b', 'c'),
    fc.constantFrom('🦊', 'é', '中', '\uFEFF', 'word'),
    fc.string({ unit: 'grapheme', maxLength: 3 }),
  )
  const bytes = fc
    .array(
      fc.oneof(
        { weight: 8, arbitrary: ingredient.map(bytesOf) },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 3 }) },
      ),
      { maxLength: 14 },
    )
    .map(parts => new Uint8Array(Buffer.concat(parts)))
  const options: fc.Arbitrary<ReducerOptions> = fc.record({
    stop: fc.subarray(['STOP', 'abcd', 'bc', '\n\n', '<tool_call>', '</think>', '🦊x', '<']),
    tools: fc.boolean(),
    singleToolCall: fc.boolean(),
    reasoning: fc.constantFrom('none', 'tags', 'open'),
    toolCallSeed: fc.constant(7),
  })

  test('the output is the same', () => {
    fc.assert(
      fc.property(
        options,
        bytes,
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1 }),
        (reducerOptions, whole, sizes) => {
          const pieces: Uint8Array[] = []
          for (let at = 0, i = 0; at < whole.length; i++) {
            const size = sizes[i % sizes.length] ?? 1
            pieces.push(whole.subarray(at, at + size))
            at += size
          }
          expect(reduce(reducerOptions, pieces)).toEqual(reduce(reducerOptions, [whole]))
        },
      ),
      { numRuns: 3000 },
    )
  })

  test('an answer without calls, reasoning and stop strings is the text itself', () => {
    fc.assert(
      fc.property(bytes, whole => {
        const run = reduce({ ...plain, tools: true }, [whole])
        fc.pre(callsOf(run).length === 0)
        const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(whole)
        expect(textOf(run, 'answer')).toBe(text)
      }),
      { numRuns: 1000 },
    )
  })

  test('no answer holds a stop string', () => {
    fc.assert(
      fc.property(options, bytes, (reducerOptions, whole) => {
        const answer = textOf(reduce({ ...reducerOptions, tools: false }, [whole]), 'answer')
        for (const stop of reducerOptions.stop) expect(answer).not.toContain(stop)
      }),
      { numRuns: 1000 },
    )
  })
})

test('where only one call is wanted the answer ends with the first', () => {
  const call = (name: string) => `<tool_call>{"name": "${name}", "arguments": {}}</tool_call>`
  const reducer = new AnswerReducer({ ...plain, tools: true, singleToolCall: true })
  const segments = reducer.push(new TextEncoder().encode(`${call('a')}\n${call('b')} and text`))
  expect(segments.map(segment => segment.kind)).toEqual(['tool_call'])
  expect(reducer.stopped).toBe(true)
  expect(reducer.finishReason).toBe('tool_calls')
  expect(reducer.flush()).toEqual([])
})

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { Value } from 'typebox/value'
import { ChatJobSchema } from '../../protocol/chat-job.ts'
import { limits } from '../../protocol/limits.ts'
import { isFailure } from '../http-error.ts'
import { parseChatRequest, type ChatRequest } from './chat-request.ts'

const now = 1_795_000_000_000
const minimal = { model: 'llama', messages: [{ role: 'user', content: 'hi' }] }

const parse = (body: unknown) => parseChatRequest(body, now, () => 42)
const parsed = (change: object = {}): ChatRequest => {
  const result = parse({ ...minimal, ...change })
  if (isFailure(result)) throw new Error(`refused: ${result.message}`)
  return result
}
const refused = (change: object) => {
  const result = parse({ ...minimal, ...change })
  if (!isFailure(result)) throw new Error('accepted')
  return result
}
const schemaFormat = (schema: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'n', strict: true, schema } },
})
const toolsOf = (more: object) => [{ type: 'function', function: { name: 'f', ...more } }]
const messages = (...list: unknown[]) => ({ messages: list })

describe('a request', () => {
  test('with model and messages alone gets OpenAI’s defaults', () => {
    expect(parsed()).toEqual({
      model: 'llama',
      stream: false,
      includeUsage: false,
      tier: null,
      choices: 1,
      chat: {
        messages: [{ role: 'user', content: 'hi' }],
        tools: [],
        sampling: { temperature: 1, topP: 1, seed: 42 },
        maxTokens: null,
        stop: [],
        renderTimeMs: now,
      },
    })
  })

  test('may have fields that nobody knows, and null for any that is optional', () => {
    expect(
      parsed({
        user: 'x',
        store: true,
        whatever: { a: 1 },
        temperature: null,
        stop: null,
        tools: null,
        n: null,
        logit_bias: null,
        stream: null,
      }).chat.sampling.temperature,
    ).toBe(1)
  })

  test('may have each role and parts of text', () => {
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }
    const { chat } = parsed(
      messages(
        { role: 'developer', content: 'be brief' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
          name: 'ada',
        },
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: 'c', content: '42' },
        { role: 'assistant', content: 'so' },
      ),
    )
    expect(chat.messages).toEqual([
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'a\nb' },
      { role: 'assistant', content: null, toolCalls: [{ id: 'c', name: 'f', arguments: '{}' }] },
      { role: 'tool', toolCallId: 'c', content: '42' },
      { role: 'assistant', content: 'so' },
    ])
  })

  test('may have tools; with tool_choice none they are not passed on', () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }]
    expect(parsed({ tools }).chat.tools).toEqual([{ name: 'f', parameters: { type: 'object' } }])
    expect(parsed({ tools, tool_choice: 'none' }).chat.tools).toEqual([])
  })

  test('may force a call, or allow one call only', () => {
    const tools = toolsOf({ parameters: { type: 'object', properties: { city: {} } } })
    const forced = parsed({ tools, tool_choice: 'required' }).chat.constraint
    expect(forced).toMatchObject({ toolCalls: true, asked: { tool_choice: 'required' } })
    expect(forced?.grammar).toContain('city')
    const named = { type: 'function', function: { name: 'f' } }
    const byName = parsed({ tools, tool_choice: named }).chat
    expect(byName.constraint?.asked).toEqual({ tool_choice: named })
    expect(byName.tools.length).toBe(1)
    expect(parsed({ tools, parallel_tool_calls: false }).chat).toMatchObject({
      parallelToolCalls: false,
    })
    expect(parsed({ tools }).chat).not.toHaveProperty('constraint')
  })

  test('a forced function that is not strict may have a schema that a grammar cannot keep', () => {
    const tools = toolsOf({ parameters: { type: 'object', minProperties: 2 } })
    expect(parsed({ tools, tool_choice: 'required' }).chat.constraint?.toolCalls).toBe(true)
  })

  test('with tools and a form the model answers in the form or calls', () => {
    const format = { response_format: { type: 'json_object' } }
    const { constraint } = parsed({ tools: toolsOf({}), ...format }).chat
    expect(constraint?.grammar).toContain('<tool_call>')
    expect(constraint).not.toHaveProperty('toolCalls')
    expect(constraint?.asked).toEqual(format)
  })

  test('may limit its tokens by either name; the newer one wins, and no limit exceeds the protocol’s', () => {
    expect(parsed({ max_tokens: 5 }).chat.maxTokens).toBe(5)
    expect(parsed({ max_tokens: 5, max_completion_tokens: 6 }).chat.maxTokens).toBe(6)
    expect(parsed({ max_tokens: 1e12 }).chat.maxTokens).toBe(limits.outputTokensMax)
  })

  test('may say which form the answer has; engines elsewhere are asked as the client asked', () => {
    const json = parsed({ response_format: { type: 'json_object' } }).chat.constraint
    expect(json?.grammar).toContain('root ::=')
    expect(json?.asked).toEqual({ response_format: { type: 'json_object' } })
    const format = schemaFormat({ type: 'object', properties: { city: { type: 'string' } } })
    const byName = parsed(format).chat.constraint
    expect(byName?.grammar).toContain('city')
    expect(byName?.asked).toEqual(format)
    const grammar = 'root ::= "yes" | "no"'
    expect(parsed({ grammar }).chat.constraint).toEqual({ grammar, asked: { grammar } })
  })

  test('may ask for several answers', () => {
    expect(parsed({ n: 8 }).choices).toBe(8)
  })

  test('may have a stop string or several', () => {
    expect(parsed({ stop: 'x' }).chat.stop).toEqual(['x'])
    expect(parsed({ stop: ['x', '\n\n'] }).chat.stop).toEqual(['x', '\n\n'])
  })
})

describe('a wrong request is refused with the field that is wrong:', () => {
  const cases: readonly [string, object, string][] = [
    ['no model', { model: undefined }, 'model'],
    ['a number as model', { model: 5 }, 'model'],
    ['no messages', { messages: undefined }, 'messages'],
    ['messages as text', { messages: 'hi' }, 'messages'],
    ['empty messages', { messages: [] }, 'messages'],
    [
      'too many messages',
      { messages: Array(limits.messagesPerRequestMax + 1).fill(minimal.messages[0]) },
      'messages',
    ],
    ['a text as message', messages('hi'), 'messages[0]'],
    ['a message without role', messages({ content: 'x' }), 'messages[0].role'],
    ['an unknown role', messages({ role: 'ghost', content: 'x' }), 'messages[0].role'],
    ['a message without content', messages({ role: 'user' }), 'messages[0].content'],
    ['null content of a user', messages({ role: 'user', content: null }), 'messages[0].content'],
    ['a number as content', messages({ role: 'user', content: 1 }), 'messages[0].content'],
    ['empty parts', messages({ role: 'user', content: [] }), 'messages[0].content'],
    [
      'a part of unknown type',
      messages({ role: 'user', content: [{ type: 'x' }] }),
      'messages[0].content[0].type',
    ],
    [
      'a part without text',
      messages({ role: 'user', content: [{ type: 'text' }] }),
      'messages[0].content[0].text',
    ],
    [
      'a tool message without its call',
      messages({ role: 'tool', content: 'x' }),
      'messages[0].tool_call_id',
    ],
    [
      'an assistant that says nothing',
      messages({ role: 'assistant', content: null }),
      'messages[0].content',
    ],
    [
      'a call without arguments',
      messages({ role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f' } }] }),
      'messages[0].tool_calls[0].function.arguments',
    ],
    ['a warm temperature', { temperature: 2.1 }, 'temperature'],
    ['a text as temperature', { temperature: '1' }, 'temperature'],
    ['a negative top_p', { top_p: -0.1 }, 'top_p'],
    ['a top_k below -1', { top_k: -2 }, 'top_k'],
    ['half a candidate', { top_k: 1.5 }, 'top_k'],
    ['a min_p above 1', { min_p: 1.1 }, 'min_p'],
    ['a large presence_penalty', { presence_penalty: 2.1 }, 'presence_penalty'],
    ['a text as frequency_penalty', { frequency_penalty: '1' }, 'frequency_penalty'],
    ['no repetition_penalty', { repetition_penalty: 0 }, 'repetition_penalty'],
    ['a large repeat_penalty', { repeat_penalty: 11 }, 'repeat_penalty'],
    ['a list as logit_bias', { logit_bias: [1] }, 'logit_bias'],
    ['a word in logit_bias', { logit_bias: { fox: 1 } }, 'logit_bias'],
    ['a large bias', { logit_bias: { 5: 101 } }, 'logit_bias.5'],
    [
      'too many biases',
      {
        logit_bias: Object.fromEntries(Array.from({ length: limits.logitBiasesMax + 1 }).entries()),
      },
      'logit_bias',
    ],
    ['an unknown form', { response_format: { type: 'xml' } }, 'response_format.type'],
    [
      'a form without schema',
      { response_format: { type: 'json_schema' } },
      'response_format.json_schema',
    ],
    [
      'a form without name',
      { response_format: { type: 'json_schema', json_schema: { schema: {} } } },
      'response_format.json_schema.name',
    ],
    [
      'a schema that cannot be kept',
      schemaFormat({ pattern: '(?=x)' }),
      'response_format.json_schema.schema',
    ],
    ['a long grammar', { grammar: 'x'.repeat(70_000) }, 'grammar'],
    ['a deep grammar', { grammar: `root ::= ${'('.repeat(101)}"x"${')'.repeat(101)}` }, 'grammar'],
    ['two forms', { grammar: 'root ::= "x"', response_format: { type: 'json_object' } }, 'grammar'],
    ['no tokens', { max_tokens: 0 }, 'max_tokens'],
    ['half a token', { max_completion_tokens: 1.5 }, 'max_completion_tokens'],
    ['five stop strings', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
    ['an empty stop string', { stop: '' }, 'stop'],
    ['a number as stop string', { stop: ['a', 1] }, 'stop[1]'],
    ['a long stop string', { stop: 'é'.repeat(limits.stopStringBytesMax / 2 + 1) }, 'stop'],
    ['a decimal seed', { seed: 0.5 }, 'seed'],
    ['a text as stream', { stream: 'true' }, 'stream'],
    ['a text as stream_options', { stream_options: 'x' }, 'stream_options'],
    [
      'a number as include_usage',
      { stream_options: { include_usage: 1 } },
      'stream_options.include_usage',
    ],
    ['a tool without type', { tools: [{ function: { name: 'f' } }] }, 'tools[0].type'],
    ['a tool without function', { tools: [{ type: 'function' }] }, 'tools[0].function'],
    [
      'a tool without name',
      { tools: [{ type: 'function', function: {} }] },
      'tools[0].function.name',
    ],
    [
      'a text as parameters',
      { tools: [{ type: 'function', function: { name: 'f', parameters: 'x' } }] },
      'tools[0].function.parameters',
    ],
    ['a strange tool_choice', { tool_choice: 'maybe' }, 'tool_choice'],
    ['a forced call without tools', { tool_choice: 'required' }, 'tool_choice'],
    [
      'a call of a function that is not there',
      { tools: toolsOf({}), tool_choice: { type: 'function', function: { name: 'g' } } },
      'tool_choice.function.name',
    ],
    [
      'a choice without a name',
      { tools: toolsOf({}), tool_choice: { type: 'function' } },
      'tool_choice.function',
    ],
    ['a text as strict', { tools: toolsOf({ strict: 'yes' }) }, 'tools[0].function.strict'],
    [
      'a forced strict function whose schema cannot be kept',
      {
        tools: toolsOf({ strict: true, parameters: { type: 'object', minProperties: 2 } }),
        tool_choice: 'required',
      },
      'tools',
    ],
    [
      'a forced call and a grammar',
      { tools: toolsOf({}), tool_choice: 'required', grammar: 'root ::= "x"' },
      'grammar',
    ],
    ['n of zero', { n: 0 }, 'n'],
    ['nine answers', { n: 9 }, 'n'],
    ['a text as logprobs', { logprobs: 'yes' }, 'logprobs'],
  ]
  test.each(cases)('%s', (_, change, param) => {
    expect(refused(change)).toMatchObject({ code: 'invalid_request', param })
  })

  test('a body that is no object', () => {
    for (const body of [null, [], 'x', 5])
      expect(parse(body)).toMatchObject({ code: 'invalid_request' })
  })

  test('a name that no model can have', () => {
    expect(refused({ model: 'no such/../model name' })).toMatchObject({ code: 'model_not_found' })
    expect(refused({ model: '' })).toMatchObject({ code: 'model_not_found' })
  })
})

describe('what would change the answer and cannot be honoured is refused and not ignored:', () => {
  const user = (content: unknown) => messages({ role: 'user', content })
  const cases: readonly [string, object, string][] = [
    ['a choice of tools', { tool_choice: { type: 'allowed_tools' } }, 'tool_choice.type'],
    ['an image', user([{ type: 'image_url', image_url: { url: 'x' } }]), 'messages[0].content[0]'],
    ['Anthropic’s image', user([{ type: 'image', source: {} }]), 'messages[0].content[0]'],
    ['audio', user([{ type: 'input_audio', input_audio: {} }]), 'messages[0].content[0]'],
    ['spoken answers', { modalities: ['text', 'audio'] }, 'modalities'],
    ['functions', { functions: [] }, 'functions'],
    ['the role function', messages({ role: 'function', content: 'x' }), 'messages[0].role'],
    ['a tool that is no function', { tools: [{ type: 'custom' }] }, 'tools[0].type'],
  ]
  test.each(cases)('%s', (_, change, param) => {
    expect(refused(change)).toMatchObject({ code: 'unsupported', param })
  })

  test('but a value that changes nothing is fine', () => {
    const harmless = {
      n: 1,
      logprobs: false,
      top_logprobs: 0,
      response_format: { type: 'text' },
      tool_choice: 'auto',
      modalities: ['text'],
      logit_bias: { 5: 0 },
      presence_penalty: 0,
      frequency_penalty: 0,
      repetition_penalty: 1,
      top_k: -1,
      min_p: 0,
    }
    expect(parsed(harmless).chat).toEqual(parsed().chat)
  })
})

test('whatever is sent is either refused or a job that agents accept; a refusal never repeats a long input', () => {
  const field = fc.constantFrom(
    'model',
    'messages',
    'stream',
    'stop',
    'seed',
    'tools',
    'tool_choice',
    'max_tokens',
    'temperature',
    'n',
    'top_k',
    'min_p',
    'repetition_penalty',
    'logit_bias',
    'stream_options',
    'response_format',
    'grammar',
    'logprobs',
    'top_logprobs',
  )
  fc.assert(
    fc.property(fc.dictionary(field, fc.jsonValue()), fc.boolean(), (fields, whole) => {
      const result = parse(whole ? { ...minimal, ...fields } : fields)
      if (isFailure(result)) expect(result.message.length).toBeLessThan(400)
      else expect(Value.Check(ChatJobSchema, result.chat)).toBe(true)
    }),
    { numRuns: 2_000 },
  )
})

import { describe, expect, test } from 'bun:test'
import type { TokenizerFacts } from '../../models/gguf-facts.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import { createPromptBuilder, type BuildPrompt, type Tokenizer } from './prompt.ts'

const vocabulary: readonly (readonly [string, number])[] = [
  ['<s>', 3],
  ['<|im_start|>', 3],
  ['<|im_end|>', 3],
  ['<tool_response>', 4],
  ['<b>', 4],
  ['  ', 4],
]
const facts: TokenizerFacts = {
  model: 'gpt2',
  tokens: vocabulary.map(([text]) => text),
  types: vocabulary.map(([, type]) => type),
  bosId: 0,
  eosId: 2,
  addBos: true,
}

/** One id per character from 1000 up, special tokens as llama.cpp finds them: user-defined ones always. */
const tokenizer = (bosId: number | null): Tokenizer => ({
  bosId,
  tokenize: (text, special) => {
    const ids: number[] = []
    for (let at = 0; at < text.length;) {
      const id = vocabulary.findIndex(
        ([token, type]) => (special || type === 4) && text.startsWith(token, at),
      )
      const token = vocabulary[id]?.[0]
      ids.push(token === undefined ? 1000 + text.charCodeAt(at) : id)
      at += token?.length ?? 1
    }
    return ids
  },
})

const plainTemplate =
  '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<tool_response>'

function builder(template: string | null, bosId: number | null = null): BuildPrompt {
  const build = createPromptBuilder(facts, template, tokenizer(bosId))
  if (typeof build === 'string') throw new Error(build)
  return build
}

const job = (messages: ChatJob['messages'], changes: Partial<ChatJob> = {}): ChatJob => ({
  messages,
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: null,
  stop: [],
  renderTimeMs: Date.UTC(2026, 2, 5, 14, 7),
  ...changes,
})
const user = (content: string): ChatJob => job([{ role: 'user', content }])

/** Ids as text: special tokens in brackets. */
function shown(build: BuildPrompt, chat: ChatJob): string {
  const prompt = build(chat)
  if ('code' in prompt) throw new Error(prompt.message)
  return prompt.tokenIds
    .map(id => (id < 1000 ? `[${vocabulary[id]?.[0]}]` : String.fromCharCode(id - 1000)))
    .join('')
}

describe('client text never becomes special', () => {
  test('control tokens and markup of the template come out as plain characters', () => {
    expect(shown(builder(plainTemplate), user('a<|im_end|>b<tool_response>c'))).toBe(
      '[<|im_start|>]user\na<|im_end|>b<tool_response>c[<|im_end|>]\n[<tool_response>]',
    )
  })

  test('not when one is hidden in another, nor beside the marks that protect them', () => {
    for (const content of ['<|im_<|im_end|>end|>', '\uE000<|im_end|>\uE0000\uE000', '<|im_end|>'])
      expect(shown(builder(plainTemplate), user(content))).toBe(
        `[<|im_start|>]user\n${content}[<|im_end|>]\n[<tool_response>]`,
      )
  })

  test('not in tools, names, arguments or ids either', () => {
    const template = '{{ tools | tojson }}{{ messages | tojson }}'
    const chat = job(
      [
        { role: 'user', content: 'q' },
        {
          role: 'assistant',
          content: null,
          toolCalls: [{ id: '<s>', name: '<s>', arguments: '{"<s>": ["<s>"]}' }],
        },
        { role: 'tool', content: '<s>', toolCallId: '<s>' },
      ],
      { tools: [{ name: '<s>', description: '<s>', parameters: { '<s>': '<s>' } }] },
    )
    const text = shown(builder(template), chat)
    expect(text).not.toContain('[<s>]')
    expect(text.split('<s>').length - 1).toBe(11)
  })

  test('user-defined tokens that are no markup stay what they are', () => {
    expect(shown(builder(plainTemplate), user('<b>  <|im_end|>'))).toContain('[<b>][  ]<|im_end|>')
  })
})

describe('the beginning of the prompt', () => {
  test('has the token that the model wants, once', () => {
    expect(shown(builder('{{ messages[0].content }}', 0), user('x'))).toBe('[<s>]x')
    expect(shown(builder('{{ bos_token }}{{ messages[0].content }}', 0), user('x'))).toBe('[<s>]x')
    expect(shown(builder('{{ messages[0].content }}', null), user('x'))).toBe('x')
  })
})

describe('templates', () => {
  test('without one the prompt is ChatML', () => {
    expect(shown(builder(null), user('x'))).toBe(
      '[<|im_start|>]user\nx[<|im_end|>]\n[<|im_start|>]assistant\n',
    )
  })

  test('see messages and tools in the shape of OpenAI, arguments as an object', () => {
    const chat = job(
      [
        {
          role: 'assistant',
          content: null,
          toolCalls: [{ id: 'c1', name: 'f', arguments: '{"a": 1}' }],
        },
        { role: 'tool', content: 'ok', toolCallId: 'c1' },
      ],
      { tools: [{ name: 'f', parameters: { type: 'object' } }] },
    )
    const text = shown(
      builder(
        '{{ messages[0].tool_calls[0].function.arguments.a }} {{ messages[0].content == "" }} ' +
          '{{ messages[1].name }} {{ messages[1].tool_call_id }} {{ tools[0].function.name }} {{ tools[0].type }}',
      ),
      chat,
    )
    expect(text).toBe('1 true f c1 f function')
    expect(shown(builder('{{ tools is none }}'), user('x'))).toBe('true')
  })

  test('see the time of the request, in UTC', () => {
    expect(shown(builder('{{ strftime_now("%d %b %Y %H:%M %A %-d %I%p %%") }}'), user('x'))).toBe(
      '05 Mar 2026 14:07 Thursday 5 02PM %',
    )
  })

  test('that refuse a chat make it an invalid request in their own words', () => {
    const build = builder('{{ raise_exception("roles must alternate") }}')
    expect(build(user('x'))).toEqual({ code: 'invalid_request', message: 'roles must alternate' })
    // But never in the client's.
    for (const template of [
      '{{ raise_exception("no " + messages[0].content) }}',
      '{{ messages[0].content | int + [] }}',
      '{{ messages[0].content.canary() }}',
    ])
      expect(JSON.stringify(builder(template)(user('the canary')))).not.toContain('canary')
  })

  test('that break are unsupported, at once or when they run', () => {
    expect(createPromptBuilder(facts, '{% for %}', tokenizer(null))).toBeString()
    expect(builder('{{ range(1000000000) }}')(user('x'))).toMatchObject({ code: 'unsupported' })
    expect(builder('{{ nothing.like.this.exists() }}')(user('x'))).toMatchObject({
      code: 'unsupported',
    })
  })

  test('tell whether the model reasons, and whether the prompt already does', () => {
    const reasoning = (template: string) => {
      const prompt = builder(template)(user('x'))
      return 'code' in prompt ? prompt.message : prompt.reasoning
    }
    expect(reasoning('a')).toBe('none')
    expect(reasoning('{# <think> #}a')).toBe('tags')
    expect(reasoning('a<think>\n')).toBe('open')
  })

  test('the hash is over the ids as four little-endian bytes each', () => {
    const prompt = builder('a')(user('x'))
    const bytes = Uint8Array.of((1000 + 97) & 255, (1000 + 97) >> 8, 0, 0)
    expect('code' in prompt ? '' : prompt.sha256).toBe(
      new Bun.CryptoHasher('sha256').update(bytes).digest('hex'),
    )
  })
})

test('a forced tool call is refused where the template knows no tool calls', () => {
  const constraint = { grammar: 'root ::= "x"', toolCalls: true as const, asked: {} }
  const chat = { ...user('hi'), constraint }
  expect(builder(plainTemplate)(chat)).toMatchObject({ code: 'unsupported' })
  expect(builder(`${plainTemplate}{# <tool_call> #}`)(chat)).toHaveProperty('tokenIds')
  const form = { grammar: 'root ::= "x"', asked: {} }
  expect(builder(plainTemplate)({ ...chat, constraint: form })).toHaveProperty('tokenIds')
})

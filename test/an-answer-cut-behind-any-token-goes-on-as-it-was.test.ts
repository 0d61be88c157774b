import { afterAll, beforeAll, expect, test } from 'bun:test'
import {
  chatJob,
  continuationAt,
  demoModel,
  EngineSession,
  joinSegments,
  type Answer,
} from '../src/agent/engine/engine-harness.ts'
import { startLlamaEngine } from '../src/agent/engine/llama-engine.ts'
import type { ChatJob } from '../src/protocol/chat-job.ts'
import { SchemaGrammar } from '../src/server/api/json-schema/schema-grammar.ts'
import { toolCallsRule } from '../src/server/api/tool-call-grammar.ts'

// What a job asks for beyond plain text has a state: the grammar's place, the tokens that penalties count, the call that
// is half said. A worker that knows nothing of the first one has to come to the same state by the tokens alone.

let first: EngineSession
let fresh: EngineSession
beforeAll(() => {
  const model = { ...demoModel, contextTokens: 512 }
  first = new EngineSession(startLlamaEngine, model)
  fresh = new EngineSession(startLlamaEngine, model)
})
afterAll(() => Promise.all([first.engine.close(), fresh.engine.close()]))

function schemaGrammar(): string {
  const schemas = new SchemaGrammar()
  const root = schemas.document(
    {
      type: 'object',
      properties: {
        names: { type: 'array', items: { type: 'string', maxLength: 8 }, minItems: 2, maxItems: 3 },
        degrees: { type: 'integer', minimum: -50, maximum: 60 },
        note: { type: ['string', 'null'], maxLength: 10 },
      },
      required: ['names', 'degrees'],
    },
    'schema',
  )
  return schemas.rules.text(root)
}

const weather = {
  name: 'get_current_weather',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', maxLength: 12 }, days: { type: 'integer', minimum: 1 } },
    required: ['city', 'days'],
  },
}

function callGrammar(): string {
  const schemas = new SchemaGrammar({ insideToolCall: true })
  const calls = { tools: [weather], single: true }
  return schemas.rules.text(toolCallsRule(schemas, calls, new Set([weather.name])))
}

const penalties = { frequencyPenalty: 0.7, presencePenalty: 0.4, repetitionPenalty: 1.2 }
const further = { topK: 40, minP: 0.02, logitBias: [{ tokenId: 300, bias: 3 }] }
const warm = { temperature: 1.3, topP: 0.98, seed: 3 }
const greedy = { temperature: 0, topP: 1, seed: 3 }

const kinds: readonly [string, ChatJob, (answer: Answer) => boolean][] = [
  [
    'JSON by a schema',
    chatJob('hi', { maxTokens: 160, constraint: { grammar: schemaGrammar(), asked: {} } }),
    answer => answer.text.startsWith('{'),
  ],
  [
    'JSON by a schema with penalties',
    chatJob('hi', {
      maxTokens: 160,
      constraint: { grammar: schemaGrammar(), asked: {} },
      sampling: { ...greedy, ...penalties },
    }),
    answer => answer.text.startsWith('{'),
  ],
  [
    'a forced tool call',
    chatJob('hello', {
      maxTokens: 120,
      tools: [weather],
      parallelToolCalls: false,
      constraint: { grammar: callGrammar(), toolCalls: true, asked: {} },
    }),
    answer => answer.toolCalls.length === 1,
  ],
  [
    'text with penalties and biases',
    chatJob('Tell me a short story.', {
      maxTokens: 60,
      sampling: { ...greedy, ...further, ...penalties },
    }),
    answer => answer.text.length > 40,
  ],
]
const cases = kinds.flatMap(([name, chat, isThat]) =>
  [
    { how: 'greedy', drawn: greedy },
    { how: 'sampled', drawn: warm },
  ].map(({ how, drawn }) => ({
    name: `${name}, ${how}`,
    chat: { ...chat, sampling: { ...chat.sampling, ...drawn } },
    isThat,
  })),
)

test.each(cases)(
  '$name',
  async ({ chat, isThat }) => {
    const uncut = await first.ask(chat)
    expect(uncut.ended).toMatchObject({ type: 'finished' })
    expect(isThat(uncut)).toBe(true)
    for (let tokens = 0; tokens <= uncut.tokenIds.length; tokens++) {
      const rest = await fresh.ask(chat, continuationAt(uncut, tokens))
      expect([...uncut.tokenIds.slice(0, tokens), ...rest.tokenIds]).toEqual([...uncut.tokenIds])
      const delivered = uncut.frames
        .filter(frame => frame.tokenId !== null && frame.index < tokens)
        .flatMap(frame => frame.segments)
      expect(joinSegments([...delivered, ...rest.output])).toEqual(uncut.output)
      expect(rest.ended).toEqual({ ...uncut.ended, stream: rest.stream } as typeof rest.ended)
    }
  },
  60_000,
)

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { chatJob, demoModel, EngineSession } from '../src/agent/engine/engine-harness.ts'
import { startLlamaEngine } from '../src/agent/engine/llama-engine.ts'
import { SchemaGrammar } from '../src/server/api/json-schema/schema-grammar.ts'

// Random schemas, the demo model at its wildest, and a validator that knows nothing of grammars.

let session: EngineSession
beforeAll(() => {
  session = new EngineSession(startLlamaEngine, { ...demoModel, contextTokens: 512 })
})
afterAll(() => session.engine.close())

const short = { minLength: 0, maxLength: 6 }
const name = fc.constantFrom('a', 'ab', 'b', 'naïve', 'x y', 'q"q')
const atom = fc.constantFrom(
  'a',
  'ü',
  '🦊',
  '"',
  '/',
  '<',
  '\\n',
  '\\\\',
  '\\.',
  '\\d',
  '\\w',
  '\\s',
  '\\S',
  '.',
  '[a-f_-]',
  '[^a-z\\d]',
  '[^\\W_]',
  '\\u00e9',
)
// Groups are not repeated without end: matching such a pattern takes a validator exponential time, and Bun's gives up after
// a while and says that nothing matched. Grammars do not go back.
const { sequence } = fc.letrec<{ sequence: string }>(tie => {
  const group = fc.tuple(tie('sequence'), tie('sequence')).map(([a, b]) => `(?:${a}|${b})`)
  const repeated = (what: fc.Arbitrary<string>, ...often: string[]) =>
    fc
      .tuple(what, fc.constantFrom('', '', '{2}', '{1}?', '{1,3}', '?', ...often))
      .map(both => both.join(''))
  const part = fc.oneof(
    { weight: 4, arbitrary: repeated(atom, '+', '*', '{1,}?') },
    { weight: 1, arbitrary: repeated(group) },
  )
  return {
    sequence: fc.array(part, { minLength: 1, maxLength: 3 }).map(parts => parts.join('')),
  }
})
const regExp = fc
  .tuple(fc.constantFrom('^', '^', '^', ''), sequence, fc.constantFrom('$', '$', '$', '', '?$'))
  .map(parts => parts.join(''))
  .filter(isRegExp)
function isRegExp(text: string): boolean {
  try {
    return new RegExp(text, 'u').source !== ''
  } catch {
    return false
  }
}
const bound = fc.integer({ min: -1_200, max: 1_200 })
const scalar = fc.oneof(
  fc.constantFrom(
    { type: 'boolean' },
    { type: 'null' },
    { type: 'string', maxLength: 5 },
    { type: 'string', ...short, minLength: 3 },
    { type: 'string', format: 'date' },
    { type: 'string', format: 'date-time' },
    { type: 'string', format: 'uuid' },
    { type: 'number' },
    { type: 'number', minimum: 0 },
    { type: ['integer', 'null'] },
    { enum: ['red', 'gr"een', 3, null, { a: [1] }] },
    { type: 'string', enum: ['a', 'b', 7] },
    { const: { k: 'v' } },
  ),
  fc
    .tuple(bound, bound)
    .map(([a, b]) => ({ type: 'integer', minimum: Math.min(a, b), maximum: Math.max(a, b) })),
  fc.tuple(bound).map(([a]) => ({ type: 'integer', exclusiveMinimum: a })),
  fc
    .tuple(bound, fc.integer({ min: 1, max: 900 }), fc.constantFrom('m', 'exclusiveM'))
    .map(([a, width, m]) => ({
      type: 'number',
      [`${m}inimum`]: a / 100,
      [`${m}aximum`]: (a + width) / 100,
    })),
  fc.tuple(bound).map(([a]) => ({ type: 'number', exclusiveMaximum: a / 1_000 })),
  fc.tuple(bound).map(([a]) => ({ type: 'integer', maximum: a })),
)
const { schema: anySchema } = fc.letrec<{ schema: object }>(tie => ({
  schema: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    scalar,
    fc.record({
      type: fc.constant('object'),
      properties: fc.dictionary(name, tie('schema'), { maxKeys: 4 }),
      required: fc.uniqueArray(name, { maxLength: 2 }),
      additionalProperties: fc.constantFrom(true, { type: 'boolean' }),
    }),
    fc.dictionary(name, tie('schema'), { maxKeys: 4 }).chain(properties =>
      fc.record({
        type: fc.constant('object'),
        properties: fc.constant(properties),
        required: fc.subarray(Object.keys(properties)),
        additionalProperties: fc.constant(false),
      }),
    ),
    fc.record({
      type: fc.constant('array'),
      items: tie('schema'),
      minItems: fc.nat(2),
      maxItems: fc.integer({ min: 2, max: 3 }),
    }),
    fc.record({
      type: fc.constant('array'),
      prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
      items: fc.constant(false),
    }),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
  ),
}))

const ajv = new Ajv2020({ strict: false })
ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
const isDay = (text: string) => {
  const at = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text)
}
ajv.addFormat('date', isDay)
ajv.addFormat('date-time', text => isDay(text.slice(0, 10)) && !Number.isNaN(Date.parse(text)))

const pattern = regExp.map(text => ({ type: 'string', pattern: text }))

/** What the model wrote when it came to an end. @returns null when it did not */
async function answerTo(
  schema: unknown,
  seed: number,
  insideToolCall = false,
): Promise<string | null> {
  const schemas = new SchemaGrammar({ insideToolCall })
  const root = schemas.document(schema, 'schema')
  expect(schemas.rules.problem).toBeNull()
  const answer = await session.ask(
    chatJob('hi', {
      sampling: { temperature: 2, topP: 1, seed },
      maxTokens: 300,
      constraint: { grammar: schemas.rules.text(root), asked: {} },
    }),
  )
  if (answer.ended?.type === 'failed') throw new Error(answer.ended.error.message)
  return answer.ended?.reason === 'stop' ? answer.text : null
}

function expectValid(validate: ValidateFunction, text: string): void {
  const value: unknown = JSON.parse(text)
  if (validate(value)) return
  throw new Error(`${text} is not valid: ${JSON.stringify(validate.errors)}`)
}

test('whatever the schema, an answer that comes to its end is valid', async () => {
  let ended = 0
  await fc.assert(
    fc.asyncProperty(anySchema, fc.nat(), async (schema, seed) => {
      const text = await answerTo(schema, seed)
      if (text === null) return
      ended++
      expectValid(ajv.compile(schema), text)
    }),
    { numRuns: 150 },
  )
  expect(ended).toBeGreaterThan(75)
}, 60_000)

test('whatever the pattern, a text that comes to its end matches it, and ends no tool call', async () => {
  let ended = 0
  await fc.assert(
    fc.asyncProperty(pattern, fc.nat(), fc.boolean(), async (schema, seed, insideToolCall) => {
      const text = await answerTo(schema, seed, insideToolCall)
      if (text === null) return
      ended++
      expectValid(ajv.compile(schema), text)
      if (insideToolCall) expect(text).not.toContain('</')
    }),
    { numRuns: 80 },
  )
  expect(ended).toBeGreaterThan(40)
}, 60_000)

test('a schema that refers to itself, joins objects and names its parts is followed', async () => {
  const schema = {
    $defs: {
      named: { type: 'object', properties: { name: { enum: ['ada', 'bob'] } }, required: ['name'] },
      tree: {
        allOf: [{ $ref: '#/$defs/named' }],
        properties: {
          children: { type: 'array', maxItems: 2, items: { $ref: '#/$defs/tree' } },
        },
        required: ['children'],
      },
    },
    $ref: '#/$defs/tree',
  }
  const validate = ajv.compile(schema)
  const answers = await Promise.all(Array.from({ length: 12 }, (_, seed) => answerTo(schema, seed)))
  const ended = answers.filter(text => text !== null)
  expect(ended.length).toBeGreaterThan(3)
  for (const text of ended) expectValid(validate, text)
  expect(ended.some(text => text.split('children').length > 2)).toBe(true)
})

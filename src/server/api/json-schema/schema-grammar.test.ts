import { describe, expect, test } from 'bun:test'
import { SchemaGrammar } from './schema-grammar.ts'

/** That answers are valid is tried with a model and a validator; see test/an-answer-follows-its-json-schema.test.ts. */

const problemOf = (schema: unknown): string | null => {
  const schemas = new SchemaGrammar()
  schemas.document(schema, 'schema')
  return schemas.rules.problem
}
const grammarOf = (schema: unknown, insideToolCall = false): string => {
  const schemas = new SchemaGrammar({ insideToolCall })
  const root = schemas.document(schema, 'schema')
  expect(schemas.rules.problem).toBeNull()
  return schemas.rules.text(root)
}
const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more })

describe('what a grammar cannot say is refused with the place and the keyword:', () => {
  const cases: readonly [string, unknown, string][] = [
    [
      'a pattern that looks ahead',
      object({ a: { type: 'string', pattern: '^(?=x)' } }),
      "properties.a' 'pattern' is not supported with groups that look around",
    ],
    ['a pattern that looks back', { type: 'string', pattern: '^(?<!x)y' }, 'look around'],
    ['a pattern that refers back', { type: 'string', pattern: '^(a)\\1$' }, "with '\\1'"],
    ['a pattern with a border', { type: 'string', pattern: '\\bx' }, "with '\\b'"],
    ['a pattern with an anchor inside', { type: 'string', pattern: '(^a)' }, "'^' within a group"],
    ['a pattern that is none', { type: 'string', pattern: '(' }, 'must be a regular expression'],
    ['nothing again and again', { type: 'string', pattern: '^(a*)*$' }, 'may be empty'],
    [
      'something that may be empty very often',
      { type: 'string', pattern: '^(a?){17}$' },
      '16 repetitions of what may be empty',
    ],
    [
      'many repetitions within each other',
      { type: 'string', pattern: '^([a-z]{0,300}){0,300}$' },
      'of what may be empty',
    ],
    ['many repetitions', { type: 'string', pattern: '^a{2000}$' }, '1000 repetitions'],
    [
      'a pattern beside a length',
      { type: 'string', pattern: '^a', maxLength: 3 },
      'without a length',
    ],
    ['an unknown format', { type: 'string', format: 'email' }, "'format'"],
    ['multiples', { type: 'integer', multipleOf: 3 }, "'multipleOf'"],
    ['a bound of many decimals', { type: 'number', minimum: 0.123_456_78 }, "'minimum'"],
    ['a far bound', { type: 'number', maximum: 1e12 }, "'maximum'"],
    ['no number', { type: 'number', minimum: 1, exclusiveMaximum: 1 }, "'minimum'"],
    ['unique items', { type: 'array', uniqueItems: true }, "'uniqueItems'"],
    ['items by pattern', object({}, { patternProperties: {} }), "'patternProperties'"],
    ['not', { not: { type: 'string' } }, "'not'"],
    ['a condition', { if: {}, type: 'string' }, "'if'"],
    [
      'a choice beside properties',
      object({}, { anyOf: [{}] }),
      "'type' is not supported beside 'anyOf'",
    ],
    ['no value at all', object({ a: false }), 'must be an object'],
    ['another document', { $ref: 'https://example.com/x' }, "'$ref'"],
    ['a reference to nothing', { $ref: '#/$defs/x' }, "'$ref' points to nothing"],
    [
      'a reference to itself',
      { $defs: { x: { $ref: '#/$defs/x' } }, $ref: '#/$defs/x' },
      'back to itself',
    ],
    [
      'two that are each other',
      {
        $defs: {
          a: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/b' }] },
          b: { $ref: '#/$defs/a' },
        },
        $ref: '#/$defs/a',
      },
      'back to itself',
    ],
    ['joined scalars', { allOf: [{ type: 'string' }, { type: 'integer' }] }, "'allOf'"],
    [
      'a joined secret',
      { allOf: [object({ a: {} }, { additionalProperties: false }), object({ b: {} })] },
      'forbids',
    ],
    ['a strange type', { type: 'date' }, "'type'"],
    ['an empty range', { type: 'integer', minimum: 2, maximum: 1 }, "'minimum'"],
    ['more items than there may be', { type: 'array', minItems: 3, maxItems: 2 }, "'minItems'"],
    ['a long string', { type: 'string', maxLength: 100_000 }, "'maxLength'"],
    ['an enum of nothing', { enum: [] }, "'enum'"],
    [
      'a forbidden property',
      object({}, { required: ['a'], additionalProperties: false }),
      "'required'",
    ],
  ]
  test.each(cases)('%s', (_, schema, message) => {
    expect(problemOf(schema)).toContain(message)
  })

  test('what is nested too deep or too large', () => {
    let deep: object = { type: 'null' }
    for (let level = 0; level < 40; level++) deep = { type: 'array', items: deep }
    expect(problemOf(deep)).toContain('deep')
    expect(problemOf({ enum: Array.from({ length: 100_000 }, (_, i) => i) })).toContain('too large')
  })
})

test('annotations change nothing', () => {
  const annotated = { $schema: 'x', title: 'T', description: 'd', type: 'boolean', default: true }
  expect(grammarOf(annotated)).toBe(grammarOf({ type: 'boolean' }))
})

test('optional properties may be left out, in the schema’s order', () => {
  const grammar = grammarOf(
    object({ a: { type: 'null' }, b: { type: 'null' } }, { required: ['b'] }),
  )
  expect(grammar).toContain('"\\"a\\""')
  expect(grammar.indexOf('"\\"a\\""')).toBeLessThan(grammar.indexOf('"\\"b\\""'))
})

test('inside a tool call no text can hold what would end it', () => {
  const grammar = grammarOf({ enum: ['</tool_call>'] }, true)
  expect(grammar).toContain('<\\\\/tool_call>')
  expect(grammarOf({ type: 'string' }, true)).toContain('<')
})

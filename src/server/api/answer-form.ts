import type { Constraint } from '../../protocol/chat-job.ts'
import type { FieldReader, JsonObject } from './field-reader.ts'
import { SchemaGrammar } from './json-schema/schema-grammar.ts'

/** Names of schemas are OpenAI's own: they appear nowhere. */
const schemaNamePattern = /^[a-zA-Z0-9_-]{1,64}$/

const grammarBytesMax = 64 * 1024
/** llama.cpp reads brackets by recursion: 20,000 within each other end the process. */
const grammarNestingMax = 100

/** `response_format`, or `grammar` as llama-server has it. @returns null for an answer of any form */
export function parseAnswerForm(body: JsonObject, read: FieldReader): Constraint | null {
  const format = read.object(body['response_format'], 'response_format')
  const grammar = parseGrammar(body['grammar'], read)
  const constraint = format === null ? null : parseFormat(format, read)
  if (grammar !== null && constraint !== null)
    read.fail('grammar', "'grammar' and 'response_format' cannot be used together.")
  return constraint ?? grammar
}

function parseFormat(format: JsonObject, read: FieldReader): Constraint | null {
  const asked = { response_format: format }
  switch (format['type']) {
    case 'text':
      return null
    case 'json_object': {
      const schemas = new SchemaGrammar()
      return { grammar: schemas.rules.text(schemas.json.any('object')), asked }
    }
    case 'json_schema': {
      const grammar = parseJsonSchema(format['json_schema'], read)
      return grammar === null ? null : { grammar, asked }
    }
    default:
      read.fail(
        'response_format.type',
        "Invalid value for 'response_format.type'. Supported are: 'text', 'json_object', 'json_schema'.",
      )
      return null
  }
}

function parseJsonSchema(value: unknown, read: FieldReader): string | null {
  const param = 'response_format.json_schema'
  const wanted = read.object(value, param)
  if (wanted === null) {
    read.missing(param)
    return null
  }
  const name = read.requiredString(wanted['name'], `${param}.name`, 64)
  if (name !== '' && !schemaNamePattern.test(name))
    read.fail(`${param}.name`, `Invalid '${param}.name': letters, digits, _ and - are allowed.`)
  read.boolean(wanted['strict'], `${param}.strict`)
  const schema = read.object(wanted['schema'], `${param}.schema`)
  const schemas = new SchemaGrammar()
  const root = schemas.document(schema ?? true, 'schema')
  if (schemas.rules.problem !== null)
    read.fail(`${param}.schema`, `Invalid schema: ${schemas.rules.problem}.`)
  return schemas.rules.text(root)
}

function parseGrammar(value: unknown, read: FieldReader): Constraint | null {
  const grammar = read.string(value, 'grammar')
  if (grammar === null || grammar === '') return null
  if (Buffer.byteLength(grammar) > grammarBytesMax)
    read.fail('grammar', `Invalid 'grammar': at most ${grammarBytesMax} bytes are allowed.`)
  if (nestingOf(grammar) > grammarNestingMax)
    read.fail(
      'grammar',
      `Invalid 'grammar': at most ${grammarNestingMax} brackets within each other are allowed.`,
    )
  return { grammar, asked: { grammar } }
}

/** At most so many brackets are open at once; those in texts count too, which does not matter. */
function nestingOf(grammar: string): number {
  let open = 0
  let most = 0
  for (const character of grammar) {
    if (character === '(') most = Math.max(most, ++open)
    else if (character === ')') open = Math.max(0, open - 1)
  }
  return most
}

import type { Constraint } from '../../protocol/chat-job.ts'
import type { ToolUse } from './chat-tools.ts'
import type { FieldReader, JsonObject } from './field-reader.ts'
import { SchemaGrammar } from './json-schema/schema-grammar.ts'
import { toolCallsRule } from './tool-call-grammar.ts'

/** Names of schemas are OpenAI's own: they appear nowhere. */
const schemaNamePattern = /^[a-zA-Z0-9_-]{1,64}$/

const grammarBytesMax = 64 * 1024
/** llama.cpp reads brackets by recursion: 20,000 within each other end the process. */
const grammarNestingMax = 100

/**
 * What the answer must look like: `response_format`, `grammar` as llama-server has it, and calls that `tool_choice` asks
 * for. A model that may call tools may do so instead of answering in the form.
 * @returns null for an answer of any form
 */
export function parseAnswerForm(
  body: JsonObject,
  use: ToolUse,
  read: FieldReader,
): Constraint | null {
  const grammar = parseGrammar(body['grammar'], read)
  const { tools, forced, single, strict } = use
  const schemas = new SchemaGrammar({ insideToolCall: tools.length > 0 })
  const format = read.object(body['response_format'], 'response_format')
  const answer = format === null || forced !== null ? null : parseFormat(format, schemas, read)
  if (grammar !== null) {
    for (const [is, param] of [
      [answer !== null, 'response_format'],
      [forced !== null, 'tool_choice'],
    ] as const)
      if (is) read.fail('grammar', `'grammar' and '${param}' cannot be used together.`)
    return grammar
  }
  if (answer === null && forced === null) return null
  const callable = forced ?? tools
  const calls =
    callable.length > 0 ? toolCallsRule(schemas, { tools: callable, single }, strict) : null
  if (schemas.rules.problem !== null)
    read.fail('tools', `Invalid schema: ${schemas.rules.problem}.`)
  const root = [answer, calls].filter(rule => rule !== null).join(' | ')
  const asked = forced === null ? { response_format: format } : { tool_choice: body['tool_choice'] }
  return {
    grammar: schemas.rules.text(root),
    ...(forced !== null && { toolCalls: true as const }),
    asked,
  }
}

/** @returns the rule for the answer; null: any */
function parseFormat(format: JsonObject, schemas: SchemaGrammar, read: FieldReader): string | null {
  switch (format['type']) {
    case 'text':
      return null
    case 'json_object':
      return schemas.json.any('object')
    case 'json_schema':
      return parseJsonSchema(format['json_schema'], schemas, read)
    default:
      read.fail(
        'response_format.type',
        "Invalid value for 'response_format.type'. Supported are: 'text', 'json_object', 'json_schema'.",
      )
      return null
  }
}

function parseJsonSchema(value: unknown, schemas: SchemaGrammar, read: FieldReader): string | null {
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
  const root = schemas.document(schema ?? true, 'schema')
  if (schemas.rules.problem !== null)
    read.fail(`${param}.schema`, `Invalid schema: ${schemas.rules.problem}.`)
  return root
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

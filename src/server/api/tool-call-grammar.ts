import type { Tool } from '../../protocol/chat-job.ts'
import { literal } from './json-schema/grammar-rules.ts'
import { SchemaGrammar } from './json-schema/schema-grammar.ts'

/** Calls that one answer may have when it must have one: a small model would else go on and on. */
const callsMax = 16

/** What `tool_choice` and `parallel_tool_calls` leave to the model. */
export type ToolCalls = {
  /** Functions that it may call. */
  readonly tools: readonly Tool[]
  /** At most one call. */
  readonly single: boolean
}

/**
 * Writes tool calls as a rule: the form that agents read (`<tool_call>` and JSON with name and arguments), as templates
 * show it to models, byte for byte. Arguments follow the function's schema; where a grammar cannot keep that they are any
 * object, unless `strictTools` has the function.
 * @param schemas made for the inside of tool calls
 * @returns the rule's name; what is wrong is in `schemas.rules.problem`
 */
export function toolCallsRule(
  schemas: SchemaGrammar,
  { tools, single }: ToolCalls,
  strictTools: ReadonlySet<string>,
): string {
  const { rules } = schemas
  const calls = tools.map(({ name, parameters = true }) => {
    const path = `tool ${name}`
    const args =
      parameters === true || (!strictTools.has(name) && !canBeWritten(parameters, path))
        ? schemas.json.any('object')
        : schemas.document(parameters, path)
    const head = `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": `
    return rules.add(`${literal(head)} ${args} ${literal('}\n</tool_call>')}`)
  })
  const call = rules.add(calls.join(' | '))
  return single ? call : rules.add(`${call} ("\\n" ${call}){0,${callsMax - 1}}`)
}

function canBeWritten(schema: unknown, path: string): boolean {
  const trial = new SchemaGrammar({ insideToolCall: true })
  trial.document(schema, path)
  return trial.rules.problem === null
}

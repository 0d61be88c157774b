import type { Tool } from '../../protocol/chat-job.ts'
import { limits } from '../../protocol/limits.ts'
import { nameCharactersMax } from './chat-messages.ts'
import { isObject, type FieldReader, type JsonObject } from './field-reader.ts'

/** What a request says about tools. */
export type ToolUse = {
  /** The functions that the model is told of; none with the choice `none`. */
  readonly tools: readonly Tool[]
  /** Those of them that it must call one of; null: it may also answer. */
  readonly forced: readonly Tool[] | null
  /** At most one call, by `parallel_tool_calls`. */
  readonly single: boolean
  /** Names of functions whose arguments must follow their schema. */
  readonly strict: ReadonlySet<string>
}

/** `tools`, `tool_choice` and `parallel_tool_calls`. */
export function parseTools(body: JsonObject, read: FieldReader): ToolUse {
  const tools: Tool[] = []
  const strict = new Set<string>()
  const items = read.array(body['tools'], 'tools', limits.toolsPerRequestMax) ?? []
  for (const [index, item] of items.entries()) {
    const tool = parseTool(item, `tools[${index}]`, read)
    if (tool === null) break
    tools.push(tool)
    if (isStrict(item, `tools[${index}]`, read)) strict.add(tool.name)
  }
  const forced = parseToolChoice(body['tool_choice'], tools, read)
  const parallel = read.boolean(body['parallel_tool_calls'], 'parallel_tool_calls') ?? true
  if (forced === 'none') return { tools: [], forced: null, single: false, strict }
  return { tools, forced, single: !parallel && tools.length > 0, strict }
}

function parseTool(value: unknown, param: string, read: FieldReader): Tool | null {
  if (!isObject(value)) {
    read.wrongType(param, 'an object', value)
    return null
  }
  if (value['type'] !== 'function') {
    if (value['type'] === undefined) read.missing(`${param}.type`)
    else read.fail(`${param}.type`, "Only tools of type 'function' are supported.", 'unsupported')
    return null
  }
  const definition = read.object(value['function'], `${param}.function`)
  if (definition === null) {
    read.missing(`${param}.function`)
    return null
  }
  const name = read.requiredString(definition['name'], `${param}.function.name`, nameCharactersMax)
  if (name === '') read.fail(`${param}.function.name`, 'A function needs a name.')
  const description = read.string(definition['description'], `${param}.function.description`)
  const parameters = read.object(definition['parameters'], `${param}.function.parameters`)
  return {
    name,
    ...(description === null ? {} : { description }),
    ...(parameters === null ? {} : { parameters }),
  }
}

function isStrict(value: unknown, param: string, read: FieldReader): boolean {
  const definition = isObject(value) ? value['function'] : null
  return (
    isObject(definition) && read.boolean(definition['strict'], `${param}.function.strict`) === true
  )
}

/** @returns the tools of which one must be called; null: none must be */
function parseToolChoice(
  value: unknown,
  tools: readonly Tool[],
  read: FieldReader,
): readonly Tool[] | 'none' | null {
  if (value === undefined || value === null || value === 'auto') return null
  if (value === 'none') return 'none'
  if (value === 'required') {
    if (tools.length === 0)
      read.fail('tool_choice', "'tool_choice' is 'required', but there are no 'tools'.")
    return tools
  }
  if (isObject(value) && value['type'] === 'function') return namedTool(value, tools, read)
  if (isObject(value) && value['type'] !== undefined)
    read.fail('tool_choice.type', "Only a choice of type 'function' is supported.", 'unsupported')
  else
    read.fail(
      'tool_choice',
      "Invalid value for 'tool_choice'. Supported are: 'none', 'auto', 'required' and a function.",
    )
  return null
}

function namedTool(choice: JsonObject, tools: readonly Tool[], read: FieldReader): readonly Tool[] {
  const param = 'tool_choice.function'
  const definition = read.object(choice['function'], param)
  if (definition === null) read.missing(param)
  const name = read.requiredString(definition?.['name'], `${param}.name`, nameCharactersMax)
  const named = tools.filter(tool => tool.name === name)
  if (named.length === 0)
    read.fail(`${param}.name`, "'tool_choice' names a function that is not in 'tools'.")
  return named
}

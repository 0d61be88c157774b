import type { Tool } from '../../protocol/chat-job.ts'
import { limits } from '../../protocol/limits.ts'
import { nameCharactersMax } from './chat-messages.ts'
import { isObject, type FieldReader, type JsonObject } from './field-reader.ts'

/** `tools` and `tool_choice`: the functions that the model may call; none with the choice `none`. */
export function parseTools(body: JsonObject, read: FieldReader): readonly Tool[] {
  const tools: Tool[] = []
  const items = read.array(body['tools'], 'tools', limits.toolsPerRequestMax) ?? []
  for (const [index, item] of items.entries()) {
    const tool = parseTool(item, `tools[${index}]`, read)
    if (tool === null) break
    tools.push(tool)
  }
  const mayCall = parseToolChoice(body['tool_choice'], read)
  if (!mayCall) return []
  if (
    tools.length > 0 &&
    read.boolean(body['parallel_tool_calls'], 'parallel_tool_calls') === false
  )
    read.fail(
      'parallel_tool_calls',
      "'parallel_tool_calls': false is not supported: a model decides itself how many tools it calls.",
      'unsupported',
    )
  return tools
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

function parseToolChoice(value: unknown, read: FieldReader): boolean {
  if (value === undefined || value === null || value === 'auto') return true
  if (value === 'none') return false
  if (value === 'required' || isObject(value))
    read.fail(
      'tool_choice',
      "Only the tool choices 'auto' and 'none' are supported: a model cannot be forced to call a tool.",
      'unsupported',
    )
  else read.fail('tool_choice', "Invalid value for 'tool_choice'. Supported are: 'auto', 'none'.")
  return true
}

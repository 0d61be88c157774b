import type { ChatMessage, ToolCall } from '../../protocol/chat-job.ts'
import { limits } from '../../protocol/limits.ts'
import { isObject, type FieldReader, type JsonObject } from './field-reader.ts'

/** Bounds that `ChatJobSchema` sets for names and ids of tool calls. */
export const nameCharactersMax = 256
const toolCallsPerMessageMax = 128
const partsPerMessageMax = 1_024

/** OpenAI's `messages` as the worker takes them; what is wrong is left in `read`. */
export function parseMessages(value: unknown, read: FieldReader): readonly ChatMessage[] {
  if (value === undefined) {
    read.missing('messages')
    return []
  }
  if (!Array.isArray(value)) {
    read.wrongType('messages', 'an array of objects', value)
    return []
  }
  if (value.length === 0)
    read.fail('messages', "Invalid 'messages': empty array. Expected at least 1 message.")
  const items = read.array(value, 'messages', limits.messagesPerRequestMax) ?? []
  const messages: ChatMessage[] = []
  for (const [index, item] of items.entries()) {
    const message = parseMessage(item, `messages[${index}]`, read)
    if (message === null) return messages
    messages.push(message)
  }
  return messages
}

function parseMessage(value: unknown, param: string, read: FieldReader): ChatMessage | null {
  if (!isObject(value)) {
    read.wrongType(param, 'an object', value)
    return null
  }
  const role = value['role']
  switch (role) {
    case 'system':
    case 'developer':
      // A developer message is OpenAI's newer name for the same thing; chat templates know only `system`.
      return { role: 'system', content: parseContent(value['content'], `${param}.content`, read) }
    case 'user':
      return { role, content: parseContent(value['content'], `${param}.content`, read) }
    case 'assistant':
      return parseAssistant(value, param, read)
    case 'tool':
      return {
        role,
        content: parseContent(value['content'], `${param}.content`, read),
        toolCallId: read.requiredString(
          value['tool_call_id'],
          `${param}.tool_call_id`,
          nameCharactersMax,
        ),
      }
    case 'function':
      read.fail(`${param}.role`, "The role 'function' is not supported; use 'tool'.", 'unsupported')
      return null
    default:
      if (role === undefined) read.missing(`${param}.role`)
      else
        read.fail(
          `${param}.role`,
          `Invalid value for '${param}.role'. Supported are: 'system', 'developer', 'user', 'assistant', 'tool'.`,
        )
      return null
  }
}

function parseAssistant(message: JsonObject, param: string, read: FieldReader): ChatMessage {
  const calls = parseToolCalls(message['tool_calls'], `${param}.tool_calls`, read)
  if (message['function_call'] !== undefined && message['function_call'] !== null)
    read.fail(
      `${param}.function_call`,
      "'function_call' is not supported; use 'tool_calls'.",
      'unsupported',
    )
  const said = message['content'] ?? message['refusal']
  const content =
    calls.length > 0 && (said === undefined || said === null)
      ? null
      : parseContent(said, `${param}.content`, read)
  return calls.length === 0
    ? { role: 'assistant', content }
    : { role: 'assistant', content, toolCalls: [...calls] }
}

function parseToolCalls(value: unknown, param: string, read: FieldReader): readonly ToolCall[] {
  const calls: ToolCall[] = []
  for (const [index, item] of (read.array(value, param, toolCallsPerMessageMax) ?? []).entries()) {
    const at = `${param}[${index}]`
    if (!isObject(item)) {
      read.wrongType(at, 'an object', item)
      break
    }
    if (item['type'] !== undefined && item['type'] !== 'function')
      read.fail(`${at}.type`, "Only tool calls of type 'function' are supported.", 'unsupported')
    const call = read.object(item['function'], `${at}.function`)
    if (call === null) {
      read.missing(`${at}.function`)
      break
    }
    calls.push({
      id: read.requiredString(item['id'], `${at}.id`, nameCharactersMax),
      name: read.requiredString(call['name'], `${at}.function.name`, nameCharactersMax),
      arguments: read.requiredString(call['arguments'], `${at}.function.arguments`, Infinity),
    })
  }
  return calls
}

/** A text, or an array of text parts, which become one text with a line break between them. */
function parseContent(value: unknown, param: string, read: FieldReader): string {
  if (typeof value === 'string') return value
  if (value === undefined) {
    read.missing(param)
    return ''
  }
  if (!Array.isArray(value)) {
    read.wrongType(param, 'a string or an array of parts', value)
    return ''
  }
  if (value.length === 0) read.fail(param, `Invalid '${param}': empty array. Expected a part.`)
  const parts = read.array(value, param, partsPerMessageMax) ?? []
  return parts.map((part, index) => parsePart(part, `${param}[${index}]`, read)).join('\n')
}

/** Parts that are no text, as OpenAI's two APIs and Anthropic's name them. */
const otherParts: Readonly<Record<string, string>> = {
  image_url: 'images',
  input_image: 'images',
  image: 'images',
  input_audio: 'audio',
  video_url: 'video',
  file: 'files',
  input_file: 'files',
  document: 'files',
}

function parsePart(part: unknown, param: string, read: FieldReader): string {
  if (!isObject(part)) {
    read.wrongType(param, 'an object', part)
    return ''
  }
  const type = part['type']
  if (type === 'text') return read.requiredString(part['text'], `${param}.text`, Infinity)
  if (type === 'refusal') return read.requiredString(part['refusal'], `${param}.refusal`, Infinity)
  const other =
    typeof type === 'string' && Object.hasOwn(otherParts, type) ? otherParts[type] : null
  if (typeof other === 'string')
    read.fail(
      param,
      `This server takes no ${other} ('${String(type)}'), whatever the model: its engine reads text alone. Send only parts of type 'text'.`,
      'unsupported',
    )
  else read.fail(`${param}.type`, `Invalid value for '${param}.type'. Supported is: 'text'.`)
  return ''
}

import type { ToolCallDelta } from '../../protocol/token-frame.ts'
import { isObject } from './field-reader.ts'

/** Tool calls in one answer; a higher index is nonsense. */
const toolCallsPerAnswerMax = 128

/** @returns the text of a `tool_call` segment as data; null when it is not what the protocol says */
export function parseToolCallDelta(text: string): ToolCallDelta | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (!isObject(value)) return null
  const { index, id, name, arguments: part } = value
  if (typeof index !== 'number' || !Number.isInteger(index)) return null
  if (index < 0 || index >= toolCallsPerAnswerMax || typeof part !== 'string') return null
  if (
    (id !== undefined && typeof id !== 'string') ||
    (name !== undefined && typeof name !== 'string')
  )
    return null
  return {
    index,
    arguments: part,
    ...(id === undefined ? {} : { id }),
    ...(name === undefined ? {} : { name }),
  }
}

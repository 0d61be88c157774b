import { finalise, tokenSeed } from './token-seed.ts'

/** A call as the model wrote it; `arguments` is the JSON text between the tags, byte for byte. */
export type ParsedToolCall = { readonly name: string; readonly arguments: string }

/**
 * Reads what stands between `<tool_call>` and `</tool_call>`: `{"name": "…", "arguments": {…}}`.
 * @returns null when it is anything else; the text is then part of the answer
 */
export function parseToolCallText(text: string): ParsedToolCall | null {
  let call: unknown
  try {
    call = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof call !== 'object' || call === null || !('name' in call)) return null
  if (typeof call.name !== 'string' || call.name === '' || call.name.length > 256) return null
  const args: unknown = 'arguments' in call ? call.arguments : {}
  // Some models write the arguments as a string with JSON in it.
  if (typeof args === 'string') return { name: call.name, arguments: args }
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return null
  return { name: call.name, arguments: topLevelValue(text, 'arguments') ?? '{}' }
}

/**
 * The id of a call: the same whenever the same answer is made again, so that a continuation on another machine repeats
 * it, and another in the next turn of the same chat.
 * @param seed 32 bits that belong to this prompt and request
 */
export function toolCallId(seed: number, callIndex: number): string {
  const part = (k: number) =>
    finalise(tokenSeed(seed, callIndex * 3 + k))
      .toString(16)
      .padStart(8, '0')
  return `call_${part(0)}${part(1)}${part(2)}`
}

/**
 * Cuts the value of a key out of the text of a JSON object, unchanged: parsing and printing it again would turn
 * 12345678901234567890 into another number. The last one counts, as with JSON.parse.
 * @param json valid JSON of an object
 */
function topLevelValue(json: string, key: string): string | null {
  let value: string | null = null
  let at = json.indexOf('{') + 1
  for (;;) {
    const keyStart = json.indexOf('"', at)
    if (keyStart === -1) return value
    const keyEnd = stringEnd(json, keyStart)
    const valueStart = json.indexOf(':', keyEnd) + 1
    const end = valueEnd(json, valueStart)
    if (JSON.parse(json.slice(keyStart, keyEnd)) === key) value = json.slice(valueStart, end).trim()
    at = end
  }
}

/** Position behind the string that begins at `start`. */
function stringEnd(json: string, start: number): number {
  let at = start + 1
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1
  return at + 1
}

/** Position of the comma or brace behind the value that begins at `start`. */
function valueEnd(json: string, start: number): number {
  let depth = 0
  let at = start
  for (;;) {
    const character = json[at]
    if (character === '"') {
      at = stringEnd(json, at)
      continue
    }
    if (character === '{' || character === '[') depth++
    else if (depth === 0 && (character === ',' || character === '}')) return at
    else if (character === '}' || character === ']') depth--
    at++
  }
}

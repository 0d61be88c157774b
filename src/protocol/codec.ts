import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { agentMessageSchemas, type AgentMessage } from './agent-message.ts'
import { limits } from './limits.ts'
import { serverMessageSchemas, type ServerMessage } from './server-message.ts'
import { decodeTokenFrames, type TokenFrames } from './token-frames.ts'

/**
 * Why bytes from the other side were not taken. `unknown_type` is what a newer peer's message looks like; the others
 * are breaches of the protocol.
 */
export type Refusal = {
  readonly type: 'refusal'
  readonly reason: 'too_large' | 'not_json' | 'unknown_type' | 'invalid'
  /** What is wrong, without quoting the message (it may hold a prompt). */
  readonly detail: string
}

type Check = { Check(value: unknown): boolean; Errors(value: unknown): unknown[] }

const compileAll = (schemas: Readonly<Record<string, TSchema>>): ReadonlyMap<string, Check> =>
  new Map(Object.entries(schemas).map(([name, schema]) => [name, Compile(schema)]))

const agentChecks = compileAll(agentMessageSchemas)
const serverChecks = compileAll(serverMessageSchemas)

/** Turns what an agent sent, text or binary, into a message, token frames or a refusal. Never throws. */
export function decodeFromAgent(data: string | Uint8Array): AgentMessage | TokenFrames | Refusal {
  if (typeof data === 'string') return decodeText<AgentMessage>(data, agentChecks)
  const frames = decodeTokenFrames(data)
  return typeof frames === 'string' ? refusal('invalid', frames) : frames
}

/** Turns what the server sent into a message or a refusal. Never throws. */
export function decodeFromServer(data: string | Uint8Array): ServerMessage | Refusal {
  if (typeof data !== 'string') return refusal('unknown_type', 'the server sends no binary frames')
  return decodeText<ServerMessage>(data, serverChecks)
}

export const encodeAgentMessage = (message: AgentMessage): string => JSON.stringify(message)
export const encodeServerMessage = (message: ServerMessage): string => JSON.stringify(message)

function decodeText<Message>(text: string, checks: ReadonlyMap<string, Check>): Message | Refusal {
  if (text.length > limits.controlMessageBytesMax)
    return refusal('too_large', `a message may have ${limits.controlMessageBytesMax} bytes`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refusal('not_json', 'the message is not JSON')
  }
  const type = typeof value === 'object' && value !== null ? Reflect.get(value, 'type') : undefined
  if (typeof type !== 'string') return refusal('invalid', 'the message has no type')
  const check = checks.get(type)
  if (check === undefined) return refusal('unknown_type', `type ${type.slice(0, 64)} is unknown`)
  if (!check.Check(value))
    return refusal('invalid', `${type}: ${describeErrors(check.Errors(value))}`)
  return value as Message
}

/** Where the message is wrong and what was expected there; values are left out. */
function describeErrors(errors: readonly unknown[]): string {
  const first = errors[0] as { instancePath?: string; message?: string } | undefined
  return `${first?.instancePath === '' ? 'message' : (first?.instancePath ?? 'message')} ${first?.message ?? 'is wrong'}`
}

const refusal = (reason: Refusal['reason'], detail: string): Refusal => ({
  type: 'refusal',
  reason,
  detail: detail.slice(0, limits.errorTextBytesMax),
})

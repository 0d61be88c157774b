import { Environment, Interpreter, Template } from '@huggingface/jinja'
import type { ChatJob, ChatMessage, Tool } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import { strftimeUtc } from './strftime.ts'

/** For files without a template: the format most models have seen. */
export const chatMlTemplate =
  "{%- for m in messages -%}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' -}}{%- endfor -%}" +
  "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"

/** What the template sees of a request. Every text in it comes from the client. */
export type TemplateInput = {
  readonly messages: readonly Record<string, unknown>[]
  readonly tools: readonly unknown[] | null
}

export type ChatTemplate = {
  /** @returns the prompt; `invalid_request` when the template itself refuses the chat, `unsupported` when it breaks */
  render(input: TemplateInput, renderTimeMs: number): string | Failure
}

export type TemplateTokens = { readonly bosToken: string; readonly eosToken: string }

/** A template that asks for more is broken or hostile. */
const rangeElementsMax = 100_000

/** Compiles a model's chat template. @returns a text that says why it cannot be used, when it cannot */
export function compileChatTemplate(source: string, tokens: TemplateTokens): ChatTemplate | string {
  let program: Template['parsed']
  try {
    program = new Template(source).parsed
  } catch (error) {
    return `the chat template of the model cannot be read: ${reasonOf(error)}`
  }
  const render = (input: TemplateInput, renderTimeMs: number): string | Failure => {
    const environment = createEnvironment(renderTimeMs)
    environment.set('messages', input.messages)
    environment.set('tools', input.tools)
    environment.set('add_generation_prompt', true)
    environment.set('bos_token', tokens.bosToken)
    environment.set('eos_token', tokens.eosToken)
    try {
      const rendered: unknown = new Interpreter(environment).run(program).value
      if (typeof rendered === 'string') return rendered
      return { code: 'unsupported', message: 'the chat template of the model gives no text' }
    } catch (error) {
      // Only what the template's author wrote is told: an error's text may hold what the client wrote.
      if (!(error instanceof TemplateRefusal))
        return {
          code: 'unsupported',
          message: 'the chat template of the model cannot render this chat',
        }
      const isAuthors = source.includes(error.message)
      return {
        code: 'invalid_request',
        message: isAuthors ? error.message : 'the chat template of the model refuses this chat',
      }
    }
  }
  return { render }
}

/** Thrown out of the template by its own `raise_exception`; caught where it is rendered. */
class TemplateRefusal extends Error {}

/** The names that transformers gives to templates; the package's own set has a clock in local time and no bounds. */
function createEnvironment(renderTimeMs: number): Environment {
  const environment = new Environment()
  for (const [name, value] of [
    ['true', true],
    ['false', false],
    ['none', null],
    ['True', true],
    ['False', false],
    ['None', null],
  ] as const)
    environment.set(name, value)
  environment.set('raise_exception', (message: unknown) => {
    throw new TemplateRefusal(String(message).slice(0, 1_000))
  })
  environment.set('strftime_now', (format: unknown) => strftimeUtc(renderTimeMs, String(format)))
  environment.set('range', range)
  return environment
}

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  const length = Math.max(0, Math.ceil((stop - start) / step))
  if (!(length <= rangeElementsMax)) throw new Error(`range() is over ${rangeElementsMax} elements`)
  return Array.from({ length }, (_, i) => start + i * step)
}

/** Messages and tools in OpenAI's shape, as templates expect them. */
export function templateInput(chat: ChatJob): TemplateInput {
  const toolNames = new Map<string, string>()
  for (const message of chat.messages)
    if (message.role === 'assistant')
      for (const call of message.toolCalls ?? []) toolNames.set(call.id, call.name)
  return {
    messages: chat.messages.map(message => templateMessage(message, toolNames)),
    tools: chat.tools.length === 0 ? null : chat.tools.map(templateTool),
  }
}

function templateMessage(
  message: ChatMessage,
  toolNames: ReadonlyMap<string, string>,
): Record<string, unknown> {
  if (message.role === 'tool') {
    const name = toolNames.get(message.toolCallId)
    return {
      role: 'tool',
      content: message.content,
      tool_call_id: message.toolCallId,
      ...(name === undefined ? {} : { name }),
    }
  }
  if (message.role !== 'assistant') return { role: message.role, content: message.content }
  // An empty text, not null: many templates add content to a string without looking.
  const base = { role: 'assistant', content: message.content ?? '' }
  if (message.toolCalls === undefined || message.toolCalls.length === 0) return base
  const calls = message.toolCalls.map(call => ({
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: argumentsValue(call.arguments) },
  }))
  return { ...base, tool_calls: calls }
}

/** Most templates print the arguments with `tojson`, which would quote a text once more. */
function argumentsValue(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : text
  } catch {
    return text
  }
}

const templateTool = (tool: Tool): unknown => ({
  type: 'function',
  function: {
    name: tool.name,
    ...(tool.description === undefined ? {} : { description: tool.description }),
    ...(tool.parameters === undefined ? {} : { parameters: tool.parameters }),
  },
})

const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, 500)

import type { Instant } from '../../clock.ts'
import { isModelName } from '../../models/manifest.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import { limits } from '../../protocol/limits.ts'
import type { ApiFailure } from '../http-error.ts'
import { parseAnswerForm } from './answer-form.ts'
import { parseMessages } from './chat-messages.ts'
import { parseLogprobs, parseSampling } from './chat-sampling.ts'
import { parseTools } from './chat-tools.ts'
import { choicesMax } from './choice-requests.ts'
import { parseServiceTier, type AskedTier } from './service-tier.ts'
import { FieldReader, isObject, type JsonObject } from './field-reader.ts'

/** A body's limit: with room to spare below the control message that carries the job to an agent. */
export const chatBodyBytesMax = 4 * 1024 * 1024

export type ChatRequest = {
  readonly model: string
  readonly stream: boolean
  readonly includeUsage: boolean
  /** How it is to be served; null: it does not say. */
  readonly tier: AskedTier | null
  /** Answers that are wanted. */
  readonly choices: number
  readonly chat: ChatJob
}

/**
 * OpenAI's chat completion request. Fields that nobody here knows are tolerated, since SDKs send many; known ones that
 * would change the answer and that we cannot honour are refused and not ignored.
 * @param randomSeed a fresh 32-bit number, used when the client sends no seed
 */
export function parseChatRequest(
  body: unknown,
  now: Instant,
  randomSeed: () => number,
): ChatRequest | ApiFailure {
  if (!isObject(body))
    return { code: 'invalid_request', message: 'The body of the request must be a JSON object.' }
  const read = new FieldReader()
  const model = parseModel(body['model'], read)
  const messages = parseMessages(body['messages'], read)
  const stream = read.boolean(body['stream'], 'stream') ?? false
  const use = parseTools(body, read)
  const constraint = parseAnswerForm(body, use, read)
  const topLogprobs = parseLogprobs(body, read)
  const chat: ChatJob = {
    messages: [...messages],
    tools: [...use.tools],
    ...(use.single && { parallelToolCalls: false as const }),
    sampling: parseSampling(body, read, randomSeed),
    ...(constraint !== null && { constraint }),
    ...(topLogprobs !== null && { topLogprobs }),
    maxTokens: parseMaxTokens(body, read),
    stop: parseStop(body['stop'], read),
    renderTimeMs: now,
  }
  const streamOptions = read.object(body['stream_options'], 'stream_options')
  const includeUsage =
    read.boolean(streamOptions?.['include_usage'], 'stream_options.include_usage') ?? false
  const choices = read.integer(body['n'], 'n', 1, choicesMax) ?? 1
  const tier = parseServiceTier(body['service_tier'], read)
  refuseUnsupported(body, read)
  return read.problem ?? { model, stream, includeUsage, tier, choices, chat }
}

function parseModel(value: unknown, read: FieldReader): string {
  const model = read.requiredString(value, 'model', Infinity)
  if (typeof value === 'string' && !isModelName(model))
    read.fail(
      'model',
      'There is no model of this name. GET /v1/models lists them.',
      'model_not_found',
    )
  return model
}

function parseMaxTokens(body: JsonObject, read: FieldReader): number | null {
  const old = read.integer(body['max_tokens'], 'max_tokens', 1, Infinity)
  const current = read.integer(body['max_completion_tokens'], 'max_completion_tokens', 1, Infinity)
  const wanted = current ?? old
  // No context is that long, so a larger number says the same.
  return wanted === null ? null : Math.min(wanted, limits.outputTokensMax)
}

function parseStop(value: unknown, read: FieldReader): string[] {
  if (value === undefined || value === null) return []
  if (typeof value !== 'string' && !Array.isArray(value)) {
    read.wrongType('stop', 'a string or an array of strings', value)
    return []
  }
  const items = typeof value === 'string' ? [value] : value
  if (items.length > limits.stopStringsMax)
    read.fail('stop', `Invalid 'stop': at most ${limits.stopStringsMax} sequences are allowed.`)
  const stops: string[] = []
  for (const [index, item] of items.slice(0, limits.stopStringsMax).entries()) {
    const param = typeof value === 'string' ? 'stop' : `stop[${index}]`
    const stop = read.requiredString(item, param, Infinity)
    const bytes = Buffer.byteLength(stop)
    if (bytes === 0 || bytes > limits.stopStringBytesMax)
      read.fail(param, `Invalid '${param}': expected 1 to ${limits.stopStringBytesMax} bytes.`)
    stops.push(stop)
  }
  return stops
}

function refuseUnsupported(body: JsonObject, read: FieldReader): void {
  const refuse = (param: string, why: string) => {
    read.fail(param, `'${param}' ${why}`, 'unsupported')
  }
  const modalities = read.array(body['modalities'], 'modalities', 8) ?? []
  if (modalities.some(modality => modality !== 'text'))
    refuse('modalities', 'other than text are not supported.')
  for (const param of ['audio', 'web_search_options'])
    if (body[param] !== undefined && body[param] !== null) refuse(param, 'is not supported.')
  for (const param of ['functions', 'function_call'])
    if (body[param] !== undefined && body[param] !== null)
      refuse(param, "is not supported; use 'tools' and 'tool_choice'.")
}

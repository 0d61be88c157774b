import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Segment } from '../../protocol/token-frame.ts'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import { errorBody, type ApiFailure } from '../http-error.ts'
import { logprobBody } from './answer-logprobs.ts'
import type { Queued, TokenUsage } from '../inference.ts'
import { isPlainJsonText } from './plain-json-text.ts'
import type { ServedTier } from './service-tier.ts'
import { parseToolCallDelta } from './tool-call-delta.ts'

/** Ends a stream that went well; OpenAI's clients wait for it. */
export const doneLine = 'data: [DONE]\n\n'
/** A comment: clients skip it, proxies see life. */
export const keepAliveLine = ': keep-alive\n\n'

/** A comment too: the place of a request that waits, from 1, and about when it starts, once that can be said. */
export function queuedLine({ position, estimateMs }: Queued): string {
  const estimate = estimateMs === null ? '' : ` estimate=${Math.ceil(estimateMs / 1_000)}s`
  return `: queued position=${position}${estimate}\n\n`
}

/**
 * Writes the events of one streamed answer as OpenAI does. What is the same in every chunk is built once, so that a
 * token costs one escape of its text and one concatenation.
 */
export class ChatChunkWriter {
  readonly #head: string
  readonly #beforeDelta: string
  readonly #openTail: string
  /** Around a text of the answer that JSON writes as it is. */
  readonly #beforeText: string
  readonly #afterText: string
  readonly #usageField: string

  /** @param answer `jobId`: the first choice's, for all of a request */
  constructor(answer: {
    jobId: string
    model: string
    createdS: number
    choice: number
    includeUsage: boolean
    tier: ServedTier | null
  }) {
    const { jobId, model, createdS, choice, includeUsage, tier } = answer
    const opening = JSON.stringify({
      id: `chatcmpl-${jobId}`,
      object: 'chat.completion.chunk',
      created: createdS,
      model,
      ...(tier !== null && { service_tier: tier }),
    }).slice(0, -1)
    this.#head = `data: ${opening}`
    this.#beforeDelta = `${this.#head},"choices":[{"index":${choice},"delta":`
    // With usage asked for, every chunk but the last says that it has none.
    this.#usageField = includeUsage ? ',"usage":null' : ''
    this.#openTail = this.#tail('null')
    this.#beforeText = `${this.#beforeDelta}{"content":"`
    this.#afterText = `"}${this.#openTail}`
  }

  /** The first chunk. An answer that begins with a tool call has no content. */
  role(first: Segment | undefined): string {
    const content = first?.kind === 'tool_call' ? 'null' : '""'
    return `${this.#beforeDelta}{"role":"assistant","content":${content}}${this.#openTail}`
  }

  /**
   * @param logprobs of the tokens that a piece of the answer is made of; none where they are not asked for
   * @returns null when a tool call's part is not what the protocol says
   */
  segment(segment: Segment, logprobs: readonly DrawnLogprob[] = none): string | null {
    switch (segment.kind) {
      case 'answer': {
        const { text } = segment
        if (logprobs.length === 0 && isPlainJsonText(text))
          return this.#beforeText + text + this.#afterText
        const tail = logprobs.length === 0 ? this.#openTail : this.#tail(logprobsText(logprobs))
        return `${this.#beforeDelta}{"content":${JSON.stringify(text)}}${tail}`
      }
      case 'reasoning':
        return `${this.#beforeDelta}{"reasoning_content":${JSON.stringify(segment.text)}}${this.#openTail}`
      case 'tool_call':
        return this.#toolCall(segment.text)
    }
  }

  finish(reason: FinishReason): string {
    return `${this.#beforeDelta}{},"logprobs":null,"finish_reason":"${reason}"}]${this.#usageField}}\n\n`
  }

  usage(usage: TokenUsage): string {
    return `${this.#head},"choices":[],"usage":${JSON.stringify(usageBody(usage))}}\n\n`
  }

  failure(failure: ApiFailure): string {
    return `data: ${JSON.stringify(errorBody(failure))}\n\n`
  }

  #tail(logprobs: string): string {
    return `,"logprobs":${logprobs},"finish_reason":null}]${this.#usageField}}\n\n`
  }

  #toolCall(text: string): string | null {
    const delta = parseToolCallDelta(text)
    if (delta === null) return null
    // The first part of a call has its id and name; `type` belongs there and only there.
    const call = {
      index: delta.index,
      ...(delta.id === undefined ? {} : { id: delta.id, type: 'function' }),
      function: {
        ...(delta.name === undefined ? {} : { name: delta.name }),
        arguments: delta.arguments,
      },
    }
    return `${this.#beforeDelta}{"tool_calls":[${JSON.stringify(call)}]}${this.#openTail}`
  }
}

const none: readonly DrawnLogprob[] = Object.freeze([])

const logprobsText = (logprobs: readonly DrawnLogprob[]): string =>
  JSON.stringify({ content: logprobs.map(logprobBody), refusal: null })

export const usageBody = (usage: TokenUsage) => ({
  prompt_tokens: usage.promptTokens,
  completion_tokens: usage.completionTokens,
  total_tokens: usage.promptTokens + usage.completionTokens,
  ...(usage.cachedTokens !== undefined && {
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
  }),
})

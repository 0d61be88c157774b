import type { FinishReason, ToolCall } from '../../protocol/chat-job.ts'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import { errorResponse, withoutInnerDetails, type ApiFailure } from '../http-error.ts'
import type { Inference, InferenceEvent, TokenUsage } from '../inference.ts'
import {
  heldLogprobsMax,
  logprobBody,
  logprobsOf,
  tooManyLogprobs,
  WaitingLogprobs,
} from './answer-logprobs.ts'
import { usageBody } from './chat-chunk-writer.ts'
import type { ChoiceRequests } from './choice-requests.ts'
import { ChoicesRun } from './choices-run.ts'
import type { ServedTier } from './service-tier.ts'
import { parseToolCallDelta } from './tool-call-delta.ts'

/** Text of an answer that is held until it is whole. Contexts are far smaller; a broken agent must not fill memory. */
const answerUnitsMax = 16 * 1024 * 1024

/** Answers a request with one JSON object. */
export function answerChat(
  deps: { readonly inference: Inference },
  requests: ChoiceRequests,
  { tier, signal }: { readonly tier: ServedTier | null; readonly signal: AbortSignal },
): Promise<Response> {
  const { promise, resolve } = Promise.withResolvers<Response>()
  const requestId = { 'x-request-id': requests[0].jobId }
  const fail = (failure: ApiFailure) => resolve(errorResponse(failure, requestId))
  const answers = requests.map(() => new CollectedAnswer(requests.length))
  const run = new ChoicesRun(signal, {
    segments: (choice, event) => {
      const failure = answers[choice]?.add(event) ?? null
      if (failure === null) return
      run.cancel()
      fail(failure)
    },
    finished: (choice, reason, total) => {
      answers[choice]?.finish(reason)
      if (total === null) return
      const body = completionBody(requests, answers, total, tier)
      resolve(Response.json(body, { headers: requestId }))
    },
    failed: error => fail(withoutInnerDetails(error)),
    gone: () => fail({ code: 'cancelled', message: 'The client closed the request.' }),
  })
  run.start(deps.inference, requests)
  return promise
}

class CollectedAnswer {
  content = ''
  reasoning = ''
  reason: FinishReason = 'stop'
  /** Of the content's tokens. */
  readonly logprobs: DrawnLogprob[] = []
  readonly #waiting = new WaitingLogprobs()
  #logprobsHeld = 0
  readonly #calls = new Map<number, ToolCall>()
  readonly #choices: number
  #units = 0

  /** @param choices that share the room */
  constructor(choices: number) {
    this.#choices = choices
  }

  finish(reason: FinishReason): void {
    this.reason = reason
  }

  /** Calls in the order of their indices, in OpenAI's form. */
  get toolCalls() {
    return [...this.#calls.entries()]
      .toSorted(([a], [b]) => a - b)
      .map(([, { id, name, arguments: text }]) => ({
        id,
        type: 'function',
        function: { name, arguments: text },
      }))
  }

  add({ segments, logprob }: Extract<InferenceEvent, { type: 'segments' }>): ApiFailure | null {
    if (logprob !== undefined) {
      this.#logprobsHeld += logprobsOf(logprob)
      if (this.#logprobsHeld * this.#choices > heldLogprobsMax) return tooManyLogprobs
      const failure = this.#waiting.add(logprob)
      if (failure !== null) return failure
    }
    for (const { kind, text } of segments) {
      this.logprobs.push(...this.#waiting.take(kind))
      this.#units += text.length
      if (this.#units * this.#choices > answerUnitsMax)
        return {
          code: 'internal',
          message: `The answer is longer than ${answerUnitsMax} characters.`,
        }
      if (kind === 'answer') this.content += text
      else if (kind === 'reasoning') this.reasoning += text
      else if (!this.#addToolCall(text))
        return { code: 'internal', message: 'A tool call came in a wrong form.' }
    }
    return null
  }

  #addToolCall(text: string): boolean {
    const delta = parseToolCallDelta(text)
    if (delta === null) return false
    const known = this.#calls.get(delta.index)
    const call = known ?? { id: delta.id ?? '', name: delta.name ?? '', arguments: '' }
    this.#calls.set(delta.index, { ...call, arguments: call.arguments + delta.arguments })
    return true
  }
}

function completionBody(
  [request]: ChoiceRequests,
  answers: readonly CollectedAnswer[],
  usage: TokenUsage,
  tier: ServedTier | null,
) {
  const tellsLogprobs = request.chat.topLogprobs !== undefined
  return {
    id: `chatcmpl-${request.jobId}`,
    object: 'chat.completion',
    created: Math.floor(request.receivedAt / 1000),
    model: request.model,
    choices: answers.map((answer, index) => choiceBody(answer, index, tellsLogprobs)),
    usage: usageBody(usage),
    ...(tier !== null && { service_tier: tier }),
  }
}

function choiceBody(answer: CollectedAnswer, index: number, tellsLogprobs: boolean) {
  const { toolCalls } = answer
  const onlyCalls = toolCalls.length > 0 && answer.content === ''
  return {
    index,
    message: {
      role: 'assistant',
      content: onlyCalls ? null : answer.content,
      refusal: null,
      ...(answer.reasoning === '' ? {} : { reasoning_content: answer.reasoning }),
      ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
    },
    logprobs: tellsLogprobs ? { content: answer.logprobs.map(logprobBody), refusal: null } : null,
    finish_reason: answer.reason,
  }
}

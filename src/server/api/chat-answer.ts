import type { ToolCall } from '../../protocol/chat-job.ts'
import type { DrawnLogprob } from '../../protocol/token-logprobs.ts'
import { errorResponse, withoutInnerDetails, type ApiFailure } from '../http-error.ts'
import type { Inference, InferenceEvent, InferenceRequest } from '../inference.ts'
import {
  heldLogprobsMax,
  logprobBody,
  logprobsOf,
  tooManyLogprobs,
  WaitingLogprobs,
} from './answer-logprobs.ts'
import { usageBody } from './chat-chunk-writer.ts'
import { CompletionRun } from './completion-run.ts'
import { parseToolCallDelta } from './tool-call-delta.ts'

/** Text of an answer that is held until it is whole. Contexts are far smaller; a broken agent must not fill memory. */
const answerUnitsMax = 16 * 1024 * 1024

/** Answers a request with one JSON object. */
export function answerChat(
  deps: { readonly inference: Inference },
  request: InferenceRequest,
  signal: AbortSignal,
): Promise<Response> {
  const { promise, resolve } = Promise.withResolvers<Response>()
  const requestId = { 'x-request-id': request.jobId }
  const fail = (failure: ApiFailure) => resolve(errorResponse(failure, requestId))
  const answer = new CollectedAnswer()
  const handle = (event: InferenceEvent) => {
    switch (event.type) {
      case 'segments': {
        const failure = answer.add(event)
        if (failure === null) return
        run.cancel()
        fail(failure)
        return
      }
      case 'finished':
        resolve(Response.json(completionBody(request, answer, event), { headers: requestId }))
        return
      case 'failed':
        fail(withoutInnerDetails(event.error))
    }
  }
  const run = new CompletionRun(signal, handle, () =>
    fail({ code: 'cancelled', message: 'The client closed the request.' }),
  )
  run.start(deps.inference, request)
  return promise
}

class CollectedAnswer {
  content = ''
  reasoning = ''
  /** Of the content's tokens. */
  readonly logprobs: DrawnLogprob[] = []
  readonly #waiting = new WaitingLogprobs()
  #logprobsHeld = 0
  readonly #calls = new Map<number, ToolCall>()
  #units = 0

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
      if (this.#logprobsHeld > heldLogprobsMax) return tooManyLogprobs
      const failure = this.#waiting.add(logprob)
      if (failure !== null) return failure
    }
    for (const { kind, text } of segments) {
      this.logprobs.push(...this.#waiting.take(kind))
      this.#units += text.length
      if (this.#units > answerUnitsMax)
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
  request: InferenceRequest,
  answer: CollectedAnswer,
  finished: Extract<InferenceEvent, { type: 'finished' }>,
) {
  const { toolCalls } = answer
  const onlyCalls = toolCalls.length > 0 && answer.content === ''
  return {
    id: `chatcmpl-${request.jobId}`,
    object: 'chat.completion',
    created: Math.floor(request.receivedAt / 1000),
    model: request.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: onlyCalls ? null : answer.content,
          refusal: null,
          ...(answer.reasoning === '' ? {} : { reasoning_content: answer.reasoning }),
          ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
        },
        logprobs:
          request.chat.topLogprobs === undefined
            ? null
            : { content: answer.logprobs.map(logprobBody), refusal: null },
        finish_reason: finished.reason,
      },
    ],
    usage: usageBody(finished.usage),
  }
}

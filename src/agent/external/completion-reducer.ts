import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Segment, ToolCallDelta } from '../../protocol/token-frame.ts'
import { toolCallId } from '../worker/tool-call-text.ts'
import type { CompletionChunk, ToolCallPart } from './completion-chunk.ts'

/** Calls in one answer, and the characters of a name; more is nonsense. */
const toolCallsMax = 128
const toolNameCharsMax = 256
const toolCallIdCharsMax = 256

/**
 * Turns an engine's chunks into segments, and keeps what is only told at the end. Pure. Engines differ in how they stream
 * a tool call: in parts, or whole and without an index or an id.
 */
export class CompletionReducer {
  readonly #seed: number
  #calls = 0
  #finishReason: string | null = null
  #promptTokens: number | null = null

  /** @param seed of ids for calls that the engine gives none */
  constructor(seed: number) {
    this.#seed = seed
  }

  /** Null while the answer goes on. */
  get finishReason(): FinishReason | null {
    if (this.#finishReason === null) return null
    if (this.#finishReason === 'length') return 'length'
    // Some engines say stop when they mean the end of a call.
    return this.#calls > 0 ? 'tool_calls' : 'stop'
  }

  /** Null until the engine has told. */
  get promptTokens(): number | null {
    return this.#promptTokens
  }

  /** @returns what the client gets, often nothing; a text: what is wrong with the chunk */
  push(chunk: CompletionChunk): readonly Segment[] | string {
    this.#promptTokens = promptTokensOf(chunk) ?? this.#promptTokens
    const choice = chunk.choices?.[0]
    if (choice === undefined) return []
    const { delta } = choice
    const segments: Segment[] = []
    const reasoning = delta?.reasoning_content ?? delta?.reasoning ?? ''
    if (reasoning !== '') segments.push({ kind: 'reasoning', text: reasoning })
    const content = delta?.content ?? ''
    if (content !== '') segments.push({ kind: 'answer', text: content })
    for (const part of delta?.tool_calls ?? []) {
      const call = this.#call(part)
      if (typeof call === 'string') return call
      segments.push({ kind: 'tool_call', text: JSON.stringify(call) })
    }
    this.#finishReason = choice.finish_reason ?? this.#finishReason
    return segments
  }

  #call({ index, id, function: what }: ToolCallPart): ToolCallDelta | string {
    const name = what?.name ?? ''
    const text = what?.arguments ?? ''
    // Without an index a part with a name begins a call, and any other goes on with the last one.
    const at = index ?? (name === '' ? this.#calls - 1 : this.#calls)
    if (at < 0 || at > this.#calls || at >= toolCallsMax)
      return 'a part of a call that has not begun'
    if (at < this.#calls) return { index: at, arguments: text }
    if (name === '' || name.length > toolNameCharsMax) return 'a call without a name'
    this.#calls++
    const own = id && id.length <= toolCallIdCharsMax ? id : toolCallId(this.#seed, at)
    return { index: at, id: own, name, arguments: text }
  }
}

function promptTokensOf({ usage, timings }: CompletionChunk): number | null {
  const { prompt_n: computed, cache_n: kept = 0 } = timings ?? {}
  return usage?.prompt_tokens ?? (computed === undefined ? null : computed + kept)
}

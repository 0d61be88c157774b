import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Segment, SegmentKind, ToolCallDelta } from '../../protocol/token-frame.ts'
import { scanForNeedle, sortNeedles } from './needle-scan.ts'
import { heldSpaceCharsMax, skipSpaces, SpaceGate } from './space-gate.ts'
import { textMarkers } from './text-markers.ts'
import { parseToolCallText, toolCallId } from './tool-call-text.ts'
import { Utf8Assembler } from './utf8-assembler.ts'

export type ReducerOptions = {
  readonly stop: readonly string[]
  /** Whether `<tool_call>` means something: the job has tools. */
  readonly tools: boolean
  /** The answer ends with its first call. */
  readonly singleToolCall: boolean
  /** `tags`: the model may begin with `<think>`; `open`: the prompt ends inside its reasoning; `none`: no such model. */
  readonly reasoning: 'none' | 'tags' | 'open'
  /** See `toolCallId`. */
  readonly toolCallSeed: number
}

/**
 * Longest text of one call. It travels as one segment: at 3 bytes per character it must fit a token frame
 * (`limits.tokenFrameBytesMax`).
 */
export const toolCallCharsMax = 80_000

const noSegments: readonly Segment[] = Object.freeze([])
const { reasoningOpen, reasoningClose, toolCallOpen, toolCallClose } = textMarkers

type Mode = 'start' | 'reasoning' | 'answer' | 'tool_call'

function initialMode(reasoning: ReducerOptions['reasoning']): Mode {
  if (reasoning === 'open') return 'reasoning'
  return reasoning === 'tags' ? 'start' : 'answer'
}

/**
 * Turns the bytes of an answer's tokens into what the client gets: answer, reasoning and tool calls. Pure: the same
 * bytes give the same output however they are cut into pieces, which is what makes a continuation exact.
 *
 * `start` (may still begin with `<think>`) → `reasoning` → `answer` ⇄ `tool_call`. Stop strings count in the answer
 * only. Text that cannot be told yet (half a character, the beginning of a stop string or marker, a call without
 * its end) is held; `flush` decides it at the end.
 */
export class AnswerReducer {
  readonly #options: ReducerOptions
  readonly #answerNeedles: readonly string[]
  readonly #utf8 = new Utf8Assembler()
  readonly #gate = new SpaceGate()
  #mode: Mode
  #text = ''
  /** Of `#text` in a call: how much is known to hold no closing tag. */
  #searched = 0
  #skipSpace: boolean
  #calls = 0
  #nothingSinceCall = false
  #stopped = false
  #out: Segment[] = []

  constructor(options: ReducerOptions) {
    this.#options = options
    // A stop string with half a surrogate pair can never match and would cut characters.
    const stop = options.stop.filter(text => text !== '' && text.isWellFormed())
    this.#answerNeedles = sortNeedles(options.tools ? [...stop, toolCallOpen] : stop)
    this.#mode = initialMode(options.reasoning)
    this.#skipSpace = options.reasoning === 'open'
  }

  /** True once a stop string came: the answer is complete, whatever else the model says. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Why the answer ended when the model ended it itself, or a stop string did. */
  get finishReason(): Exclude<FinishReason, 'length'> {
    return this.#calls > 0 ? 'tool_calls' : 'stop'
  }

  /** Inside the model's reasoning. */
  get isReasoning(): boolean {
    return this.#mode === 'reasoning'
  }

  /** Inside the reasoning, or in the white space between it and the answer. */
  get isBeforeAnswer(): boolean {
    return this.#skipSpace || this.isReasoning
  }

  /** Takes one token's bytes. @returns what they release, often nothing */
  push(bytes: Uint8Array): readonly Segment[] {
    if (this.#stopped) return noSegments
    return this.#take(this.#utf8.push(bytes), false)
  }

  /** The last token was pushed. @returns what was still held */
  flush(): readonly Segment[] {
    if (this.#stopped) return noSegments
    return this.#take(this.#utf8.end(), true)
  }

  #take(text: string, final: boolean): readonly Segment[] {
    if (text === '' && !final) return noSegments
    this.#text += text
    while (this.#step(final));
    if (this.#out.length === 0) return noSegments
    const out = this.#out
    this.#out = []
    return out
  }

  /** @returns true when the mode changed and there is more to look at */
  #step(final: boolean): boolean {
    switch (this.#mode) {
      case 'start':
        return this.#stepStart(final)
      case 'reasoning':
        return this.#stepReasoning(final)
      case 'answer':
        return this.#stepAnswer(final)
      case 'tool_call':
        return this.#stepToolCall(final)
    }
  }

  #stepStart(final: boolean): boolean {
    const spaces = skipSpaces(this.#text)
    const begin = this.#text.slice(spaces)
    if (spaces > heldSpaceCharsMax) {
      this.#mode = 'answer'
      return true
    }
    if (begin.startsWith(reasoningOpen)) {
      this.#mode = 'reasoning'
      this.#skipSpace = true
      this.#text = begin.slice(reasoningOpen.length)
      return true
    }
    if (!final && reasoningOpen.startsWith(begin)) return false
    this.#mode = 'answer'
    return true
  }

  #stepReasoning(final: boolean): boolean {
    if (this.#skipLeadingSpace()) return false
    const hit = scanForNeedle(this.#text, [reasoningClose], final)
    this.#emit('reasoning', this.#gate.pass(this.#text.slice(0, hit.at)))
    if (hit.needle === null) {
      this.#text = this.#text.slice(hit.at)
      if (final) this.#emit('reasoning', this.#gate.release())
      return false
    }
    this.#gate.drop()
    this.#text = this.#text.slice(hit.at + reasoningClose.length)
    this.#mode = 'answer'
    this.#skipSpace = true
    return true
  }

  #stepAnswer(final: boolean): boolean {
    if (this.#skipLeadingSpace()) return false
    const hit = scanForNeedle(this.#text, this.#answerNeedles, final)
    this.#emitAnswer(this.#text.slice(0, hit.at))
    if (hit.needle === null) {
      this.#text = this.#text.slice(hit.at)
      if (final && !this.#nothingSinceCall) this.#emit('answer', this.#gate.release())
      return false
    }
    this.#text = this.#text.slice(hit.at + hit.needle.length)
    if (hit.needle === toolCallOpen && !this.#options.stop.includes(toolCallOpen)) {
      this.#mode = 'tool_call'
      this.#searched = 0
      return true
    }
    this.#stopped = true
    this.#text = ''
    if (!this.#nothingSinceCall) this.#emit('answer', this.#gate.release())
    return false
  }

  #stepToolCall(final: boolean): boolean {
    const close = this.#text.indexOf(toolCallClose, this.#searched)
    this.#searched = Math.max(0, this.#text.length - toolCallClose.length)
    const tooLong =
      close > toolCallCharsMax ||
      (close === -1 && this.#text.length >= toolCallCharsMax + toolCallClose.length)
    if (close === -1 && !final && !tooLong) return false
    const body = close === -1 ? this.#text : this.#text.slice(0, close)
    const call = tooLong ? null : parseToolCallText(body)
    this.#mode = 'answer'
    if (call === null) {
      // Only the tag itself is certain to be plain text; what follows is looked at like any answer.
      this.#emitAnswer(toolCallOpen)
      return true
    }
    this.#text = close === -1 ? '' : this.#text.slice(close + toolCallClose.length)
    this.#gate.drop()
    this.#emitCall({
      index: this.#calls,
      id: toolCallId(this.#options.toolCallSeed, this.#calls),
      name: call.name,
      arguments: call.arguments,
    })
    if (!this.#options.singleToolCall) return true
    this.#stopped = true
    this.#text = ''
    return false
  }

  /** White space between a reasoning tag and text is layout. @returns true when nothing else is there yet */
  #skipLeadingSpace(): boolean {
    if (!this.#skipSpace) return false
    this.#text = this.#text.slice(skipSpaces(this.#text))
    this.#skipSpace = this.#text === ''
    return this.#skipSpace
  }

  #emitAnswer(text: string): void {
    // Only a call can make white space before it disappear; without tools every space streams at once.
    const certain = this.#options.tools ? this.#gate.pass(text) : text
    if (certain !== '') this.#nothingSinceCall = false
    this.#emit('answer', certain)
  }

  #emitCall(delta: ToolCallDelta): void {
    this.#calls++
    this.#nothingSinceCall = true
    this.#out.push({ kind: 'tool_call', text: JSON.stringify(delta) })
  }

  #emit(kind: SegmentKind, text: string): void {
    if (text === '') return
    const last = this.#out.at(-1)
    if (last !== undefined && last.kind === kind)
      this.#out[this.#out.length - 1] = { kind, text: last.text + text }
    else this.#out.push({ kind, text })
  }
}

import { createHash } from 'node:crypto'
import type { TokenizerFacts } from '../../models/gguf-facts.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { ReducerOptions } from './answer-reducer.ts'
import { compileChatTemplate, chatMlTemplate, templateInput } from './chat-template.ts'
import { createContentGuard, type PromptPiece } from './content-guard.ts'
import { textMarkers } from './text-markers.ts'

/** What the engine's tokenizer must do. */
export type Tokenizer = {
  /**
   * @param special whether the text of a control token becomes that token
   * @param continued true: the text goes on behind another, so no space may be put before it
   */
  tokenize(text: string, special: boolean, continued: boolean): readonly number[]
  /** Put at the beginning of every prompt that has none; null: the model wants none. */
  readonly bosId: number | null
}

export type Prompt = {
  readonly tokenIds: readonly number[]
  /** As in `StartedSchema`. */
  readonly sha256: string
  readonly reasoning: ReducerOptions['reasoning']
}

/** @returns the prompt of a job, or why there is none */
export type BuildPrompt = (chat: ChatJob) => Prompt | Failure

/**
 * Prepares a model's way from chat to token ids; the template is compiled once.
 * @returns a text that says why the model's template cannot be used, when it cannot
 */
export function createPromptBuilder(
  facts: TokenizerFacts,
  chatTemplate: string | null,
  tokenizer: Tokenizer,
): BuildPrompt | string {
  const source = chatTemplate ?? chatMlTemplate
  const tokenText = (id: number | null) => (id === null ? '' : (facts.tokens[id] ?? ''))
  const template = compileChatTemplate(source, {
    bosToken: tokenText(facts.bosId),
    eosToken: tokenText(facts.eosId),
  })
  if (typeof template === 'string') return template
  const guard = createContentGuard(facts, source)
  const knowsReasoning =
    source.includes(textMarkers.reasoningOpen) || facts.tokens.includes(textMarkers.reasoningOpen)
  const knowsToolCalls =
    source.includes(textMarkers.toolCallOpen) || facts.tokens.includes(textMarkers.toolCallOpen)
  return chat => {
    if (chat.constraint?.toolCalls === true && !knowsToolCalls)
      return {
        code: 'unsupported',
        message: "'tool_choice' cannot force a call: the model's chat template knows no tool calls",
      }
    const guarded = guard.protect(templateInput(chat))
    if (guarded === null)
      return {
        code: 'invalid_request',
        message: 'the text holds special tokens and every character of the private use area',
      }
    const rendered = template.render(guarded.input, chat.renderTimeMs)
    if (typeof rendered !== 'string') return rendered
    const tokenIds = tokenizePieces(guarded.cut(rendered), tokenizer)
    // Some templates write the token themselves; the model was trained with one.
    if (tokenizer.bosId !== null && tokenIds[0] !== tokenizer.bosId)
      tokenIds.unshift(tokenizer.bosId)
    if (tokenIds.length === 0)
      return { code: 'invalid_request', message: 'the chat template gave an empty prompt' }
    const endsInReasoning = rendered.trimEnd().endsWith(textMarkers.reasoningOpen)
    return {
      tokenIds,
      sha256: hashTokenIds(tokenIds),
      reasoning: endsInReasoning ? 'open' : knowsReasoning ? 'tags' : 'none',
    }
  }
}

function tokenizePieces(pieces: readonly PromptPiece[], tokenizer: Tokenizer): number[] {
  const tokenIds: number[] = []
  for (const piece of pieces) {
    const continued = tokenIds.length > 0
    for (const id of piece.literal
      ? tokenizeLiteral(piece.text, tokenizer, continued)
      : tokenizer.tokenize(piece.text, true, continued))
      tokenIds.push(id)
  }
  return tokenIds
}

/**
 * llama.cpp finds user-defined tokens even with special tokens off, so a literal that still comes out as one token is
 * cut behind its first character.
 */
function tokenizeLiteral(
  text: string,
  tokenizer: Tokenizer,
  continued: boolean,
): readonly number[] {
  const whole = tokenizer.tokenize(text, false, continued)
  if (whole.length !== 1) return whole
  const first = String.fromCodePoint(text.codePointAt(0) ?? 0)
  if (first.length === text.length) return whole
  return [
    ...tokenizer.tokenize(first, false, continued),
    ...tokenizer.tokenize(text.slice(first.length), false, true),
  ]
}

function hashTokenIds(tokenIds: readonly number[]): string {
  const bytes = Buffer.alloc(tokenIds.length * 4)
  tokenIds.forEach((id, i) => bytes.writeUInt32LE(id, i * 4))
  return createHash('sha256').update(bytes).digest('hex')
}

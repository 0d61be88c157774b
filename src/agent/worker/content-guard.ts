import { tokenTypes, type TokenizerFacts } from '../../models/gguf-facts.ts'

/** A piece of the prompt: the template's own text, or a token's text that a client wrote and that stays text. */
export type PromptPiece = { readonly text: string; readonly literal: boolean }

export type GuardedInput<Input> = {
  readonly input: Input
  /** Cuts the rendered prompt where `protect` put its marks. */
  readonly cut: (rendered: string) => readonly PromptPiece[]
}

export type ContentGuard = {
  /**
   * Replaces every special token's text inside the strings of a value by a mark that means nothing to a tokenizer.
   * @returns the value itself when there is none (nearly always), or null when no mark is free
   */
  protect<Input>(input: Input): GuardedInput<Input> | null
}

/**
 * Keeps what clients write from becoming control tokens ("<|im_end|>\n<|im_start|>system"): the prompt has to be
 * tokenised with special tokens on, for the template's sake, so client text must not hold any.
 *
 * Guarded are control tokens, and tokens that the file calls user-defined when its template uses them as markup
 * (`<tool_response>`, `</think>`): those mean as much to the model. Other user-defined tokens (runs of spaces,
 * HTML tags) are ordinary text.
 */
export function createContentGuard(facts: TokenizerFacts, templateSource: string): ContentGuard {
  const byFirst = new Map<string, string[]>()
  facts.tokens.forEach((text, id) => {
    if (!isGuarded(text, facts.types[id], templateSource)) return
    const first = text.slice(0, 1)
    byFirst.set(first, [...(byFirst.get(first) ?? []), text])
  })
  // Longest first: "<|im_end|>" must not be found as a shorter token that it begins with.
  for (const texts of byFirst.values()) texts.sort((a, b) => b.length - a.length)
  const find = (text: string, from: number): { at: number; token: string } | null => {
    for (let at = from; at < text.length; at++) {
      const token = byFirst.get(text.charAt(at))?.find(candidate => text.startsWith(candidate, at))
      if (token !== undefined) return { at, token }
    }
    return null
  }
  return { protect: input => protect(input, find) }
}

function isGuarded(text: string, type: number | undefined, templateSource: string): boolean {
  if (text === '') return false
  if (type === tokenTypes.control || type === tokenTypes.unknown) return true
  return type === tokenTypes.userDefined && text.trim().length > 1 && templateSource.includes(text)
}

type Find = (text: string, from: number) => { at: number; token: string } | null

function protect<Input>(input: Input, find: Find): GuardedInput<Input> | null {
  let found = false
  visitTexts(input, text => {
    found ||= find(text, 0) !== null
  })
  if (!found) return { input, cut: rendered => [{ text: rendered, literal: false }] }
  const mark = freePrivateCharacter(input)
  if (mark === null) return null
  const tokens: string[] = []
  const replaced = mapTexts(input, text => {
    let result = ''
    let from = 0
    for (let hit = find(text, 0); hit !== null; hit = find(text, from)) {
      result += `${text.slice(from, hit.at)}${mark}${tokens.length}${mark}`
      tokens.push(hit.token)
      from = hit.at + hit.token.length
    }
    return result + text.slice(from)
  })
  return { input: replaced as Input, cut: rendered => cutAtMarks(rendered, mark, tokens) }
}

function cutAtMarks(
  rendered: string,
  mark: string,
  tokens: readonly string[],
): readonly PromptPiece[] {
  const pieces: PromptPiece[] = []
  let from = 0
  for (const match of rendered.matchAll(new RegExp(`${mark}(\\d+)${mark}`, 'gu'))) {
    const token = tokens[Number(match[1])]
    if (token === undefined) continue
    if (match.index > from) pieces.push({ text: rendered.slice(from, match.index), literal: false })
    pieces.push({ text: token, literal: true })
    from = match.index + match[0].length
  }
  if (from < rendered.length) pieces.push({ text: rendered.slice(from), literal: false })
  return pieces
}

/** A character of the private use area that no text of the request holds. */
function freePrivateCharacter(input: unknown): string | null {
  const used = new Set<string>()
  visitTexts(input, text => {
    for (const character of text.match(/[\uE000-\uF8FF]/g) ?? []) used.add(character)
  })
  for (let code = 0xe000; code <= 0xf8ff; code++) {
    const character = String.fromCharCode(code)
    if (!used.has(character)) return character
  }
  return null
}

function visitTexts(value: unknown, visit: (text: string) => void): void {
  if (typeof value === 'string') visit(value)
  else if (Array.isArray(value)) for (const item of value) visitTexts(item, visit)
  else if (typeof value === 'object' && value !== null)
    for (const [key, item] of Object.entries(value)) {
      visit(key)
      visitTexts(item, visit)
    }
}

function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value)
  if (Array.isArray(value)) return value.map(item => mapTexts(item, map))
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [map(key), mapTexts(item, map)]),
    )
  return value
}

import {
  charactersExpression,
  complement,
  digits,
  lineEnds,
  one,
  spaces,
  wordCharacters,
  type Range,
} from './character-set.ts'
import { repeat } from './grammar-rules.ts'
import { repetitionsMax } from './json-text.ts'
import type { RuleContext } from './rule-context.ts'

const patternCharactersMax = 1_000
const groupsWithinMax = 20
/**
 * Repetitions of what may be empty: llama.cpp keeps a place in the text for each that may come next, and tries for each token
 * every way through them. `([a-z]?){64}` took half a second a token, `(a?){1000}` two minutes.
 */
const emptyRepetitionsMax = 16

/** @returns a GBNF expression for what is between a string's quotes */
export function patternExpression(pattern: string, context: RuleContext): string {
  if (pattern.length > patternCharactersMax || !isPattern(pattern)) {
    context.fail(
      `'pattern' must be a regular expression of at most ${patternCharactersMax} characters`,
    )
    return '""'
  }
  return new PatternReader(pattern, context).read()
}

function isPattern(pattern: string): boolean {
  try {
    return new RegExp(pattern, 'u').source !== ''
  } catch {
    return false
  }
}

/** A rule's name or expression, and whether it allows nothing at all. */
type Piece = { readonly text: string; readonly mayBeEmpty: boolean }
const nothing: Piece = { text: '""', mayBeEmpty: true }

/**
 * Writes a regular expression (ECMAScript's, as JSON schema has it) as a grammar. Where it is not anchored, anything may be
 * before and behind. What has no counterpart (looking around, references back, borders of words) is refused.
 */
class PatternReader {
  readonly #characters: readonly string[]
  readonly #context: RuleContext
  #at = 0

  /** @param pattern which RegExp takes */
  constructor(pattern: string, context: RuleContext) {
    this.#characters = Array.from(pattern)
    this.#context = context
  }

  read(): string {
    const anything = this.#set(complement([])).text
    const free = this.#context.rules.add(`${anything}*`)
    const alternatives: string[] = []
    do {
      const isBegin = this.#take('^')
      const { text } = this.#sequence(0)
      const isEnd = this.#take('$')
      alternatives.push(`${isBegin ? '' : `${free} `}${text}${isEnd ? '' : ` ${free}`}`)
    } while (this.#take('|'))
    if (this.#at < this.#characters.length) this.#refuse(`'${this.#peek}' in that place`)
    return this.#context.rules.add(alternatives.join(' | '))
  }

  get #peek(): string {
    return this.#characters[this.#at] ?? ''
  }

  #take(text: string): boolean {
    if (
      !this.#characters
        .slice(this.#at, this.#at + text.length)
        .join('')
        .startsWith(text)
    )
      return false
    this.#at += text.length
    return true
  }

  #next(): string {
    return this.#characters[this.#at++] ?? ''
  }

  #refuse(what: string): Piece {
    this.#context.fail(`'pattern' is not supported with ${what}`)
    return nothing
  }

  #alternatives(depth: number): Piece {
    if (depth > groupsWithinMax)
      return this.#refuse(`more than ${groupsWithinMax} groups within each other`)
    const pieces: Piece[] = []
    do pieces.push(this.#sequence(depth))
    while (this.#take('|'))
    return {
      text: this.#context.rules.add(pieces.map(piece => piece.text).join(' | ')),
      mayBeEmpty: pieces.some(piece => piece.mayBeEmpty),
    }
  }

  /** Up to a bar, a bracket or an anchor. */
  #sequence(depth: number): Piece {
    const pieces: Piece[] = []
    while (!['', '|', ')', '$', '^'].includes(this.#peek) && !this.#context.rules.isOver)
      pieces.push(this.#quantified(this.#atom(depth)))
    if (pieces.length === 0) return nothing
    return {
      text: pieces.map(piece => piece.text).join(' '),
      mayBeEmpty: pieces.every(piece => piece.mayBeEmpty),
    }
  }

  #quantified(piece: Piece): Piece {
    const quantity = this.#quantity()
    if (quantity === null) return piece
    const [min, max] = quantity
    // Lazy or not, the same texts match.
    this.#take('?')
    if (Math.max(min, max ?? 0) > repetitionsMax)
      return this.#refuse(`more than ${repetitionsMax} repetitions`)
    // llama.cpp would take it for left recursion.
    if (piece.mayBeEmpty && max === null)
      return this.#refuse('endless repetitions of what may be empty')
    if (piece.mayBeEmpty && (max ?? 0) > emptyRepetitionsMax)
      return this.#refuse(`more than ${emptyRepetitionsMax} repetitions of what may be empty`)
    return { text: repeat(piece.text, min, max), mayBeEmpty: min === 0 || piece.mayBeEmpty }
  }

  /** @returns null when there is no quantifier */
  #quantity(): readonly [number, number | null] | null {
    if (this.#take('*')) return [0, null]
    if (this.#take('+')) return [1, null]
    if (this.#take('?')) return [0, 1]
    if (!this.#take('{')) return null
    const [from = '', to] = this.#upTo('}').split(',')
    const min = Number(from)
    if (to === undefined) return [min, min]
    return [min, to === '' ? null : Number(to)]
  }

  #upTo(end: string): string {
    let text = ''
    while (this.#peek !== end && this.#peek !== '') text += this.#next()
    this.#at++
    return text
  }

  #atom(depth: number): Piece {
    const character = this.#next()
    switch (character) {
      case '(':
        return this.#group(depth)
      case '[':
        return this.#class()
      case '.':
        return this.#set(complement(lineEnds))
      case '\\': {
        const set = this.#escape()
        return set === null ? nothing : this.#set(set)
      }
      default:
        return this.#set([one(character)])
    }
  }

  #group(depth: number): Piece {
    if (this.#take('?') && !this.#take(':')) {
      const isNamed = this.#take('<') && !['=', '!'].includes(this.#peek)
      if (!isNamed) return this.#refuse('groups that look around or set flags')
      this.#upTo('>')
    }
    const inside = this.#alternatives(depth + 1)
    if (!this.#take(')')) return this.#refuse(`'${this.#peek}' within a group`)
    return inside
  }

  /** Behind the opening bracket. */
  #class(): Piece {
    const isNegated = this.#take('^')
    const ranges: Range[] = []
    while (!this.#take(']')) {
      const from = this.#classMember()
      if (from === null) return nothing
      const [first] = from
      const isRange = this.#peek === '-' && this.#characters[this.#at + 1] !== ']'
      if (!isRange || first === undefined || from.length > 1) {
        ranges.push(...from)
        continue
      }
      this.#at++
      const [to] = this.#classMember() ?? []
      if (to === undefined) return nothing
      ranges.push([first[0], to[1]])
    }
    return this.#set(isNegated ? complement(ranges) : ranges)
  }

  #classMember(): readonly Range[] | null {
    const character = this.#next()
    return character === '\\' ? this.#escape() : [one(character)]
  }

  /** Behind a backslash. @returns null when it was refused */
  #escape(): readonly Range[] | null {
    const character = this.#next()
    const known = escapes[character]
    if (known !== undefined) return known
    if (/[$()*+./?[\\\]^{|}-]/.test(character)) return [one(character)]
    const hex = this.#hexDigits(character)
    if (hex !== null) return [one(String.fromCodePoint(Number.parseInt(hex, 16)))]
    this.#refuse(`'\\${character}'`)
    return null
  }

  /** Of `\xHH`, `\uHHHH` and `\u{H…}`. */
  #hexDigits(kind: string): string | null {
    if (kind === 'u' && this.#take('{')) return this.#upTo('}')
    const length = kind === 'x' ? 2 : kind === 'u' ? 4 : 0
    if (length === 0) return null
    return Array.from({ length }, () => this.#next()).join('')
  }

  #set(ranges: readonly Range[]): Piece {
    const { rules, json } = this.#context
    const expression = charactersExpression(ranges, json.insideToolCall)
    if (expression === null) return this.#refuse('characters that no string can have')
    return { text: rules.add(expression), mayBeEmpty: false }
  }
}

const escapes: Readonly<Record<string, readonly Range[]>> = {
  d: digits,
  D: complement(digits),
  w: wordCharacters,
  W: complement(wordCharacters),
  s: spaces,
  S: complement(spaces),
  f: [one('\f')],
  n: [one('\n')],
  r: [one('\r')],
  t: [one('\t')],
  v: [one('\v')],
}

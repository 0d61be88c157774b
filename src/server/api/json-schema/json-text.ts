import { literal, repeat, type GrammarRules } from './grammar-rules.ts'

/** The largest count in a grammar; llama.cpp writes each repetition out as rules of its own. */
export const repetitionsMax = 1_000

/**
 * The parts of JSON that every schema is made of.
 *
 * Inside a tool call the text `</tool_call>` would end the call even within a string, so there a slash behind `<` must be
 * written `\/`, which means the same.
 */
export class JsonText {
  readonly #rules: GrammarRules
  readonly insideToolCall: boolean
  readonly ws: string
  readonly #plain: string
  readonly #escape: string

  constructor(rules: GrammarRules, insideToolCall: boolean) {
    this.#rules = rules
    this.insideToolCall = insideToolCall
    // Bounded, as in llama.cpp's own: a small model may otherwise write spaces without end.
    this.ws = rules.add('| " " | "\\n" [ \\t]{0,20}')
    this.#plain = `[^"\\\\\\x00-\\x1F${insideToolCall ? '<' : ''}]`
    // Without halves of surrogate pairs, so that each is one character.
    const unit = '[0-9a-fA-F]'
    const hex = `"u" ([0-9a-ce-fA-CE-F] ${unit}{3} | [dD] [0-7] ${unit}{2})`
    this.#escape = rules.add(`"\\\\" (["\\\\/bfnrt] | ${hex})`)
  }

  get comma(): string {
    return this.#rules.add(`"," ${this.ws}`)
  }

  /** A string of any characters. @param max null: no end */
  string(min: number, max: number | null): string {
    const character = this.#rules.add(`${this.#plain} | ${this.#escape}`)
    if (!this.insideToolCall || min > 0 || max !== null)
      return this.#rules.add(`"\\"" ${repeat(character, min, max)} "\\""`)
    const behind = `[^"\\\\\\x00-\\x1F</]`
    const angle = this.#rules.add(`"<"+ (${behind} | ${this.#escape})`)
    return this.#rules.add(`"\\"" (${character} | ${angle})* "<"* "\\""`)
  }

  /**
   * A key that is none of these. It has no escapes, so that one name cannot be written in two ways.
   * @param names of properties that the schema has
   */
  otherKey(names: readonly string[]): string {
    const plain = this.#rules.add(this.#plain)
    const visit = (suffixes: readonly string[]): string => {
      const byFirst = new Map<string, string[]>()
      for (const [first = '', ...rest] of suffixes.map(suffix => Array.from(suffix)))
        if (first !== '') byFirst.set(first, [...(byFirst.get(first) ?? []), rest.join('')])
      if (suffixes.length === 0) return this.#rules.add(`${plain}*`)
      if (byFirst.size === 0) return this.#rules.add(`${plain}+`)
      const firsts = [...byFirst.keys()]
      const branches = [...byFirst].map(([first, rest]) => `${literal(first)} ${visit(rest)}`)
      const excluded = firsts.map(classEscaped).join('')
      const other = `${this.#plain.slice(0, -1)}${excluded}] ${plain}*`
      // First, because llama.cpp looks for an alternative behind a last bar on the next line.
      const mayEnd = suffixes.includes('') ? '' : '| '
      return this.#rules.add(`${mayEnd}${[...branches, other].join(' | ')}`)
    }
    const plainNames = names.filter(name => JSON.stringify(name) === `"${name}"`)
    return this.#rules.add(`"\\"" ${visit(plainNames)} "\\""`)
  }

  /** Exactly this value, printed without spaces. */
  value(value: unknown): string {
    const text = JSON.stringify(value)
    return literal(this.insideToolCall ? text.replaceAll('</', '<\\/') : text)
  }

  object(members: string): string {
    return this.#rules.add(`"{" ${this.ws} ${members} ${this.ws} "}"`)
  }

  /** Any value, or with `object` any object. */
  any(kind: 'value' | 'object'): string {
    this.#anyRules ??= this.#defineAny()
    return this.#anyRules[kind]
  }
  #anyRules: { readonly value: string; readonly object: string } | null = null

  #defineAny(): { readonly value: string; readonly object: string } {
    const value = this.#rules.reserve()
    const string = this.string(0, null)
    const member = this.#rules.add(`${string} ":" ${this.ws} ${value}`)
    const object = this.object(`(${member} (${this.comma} ${member})*)?`)
    const array = this.#rules.add(
      `"[" ${this.ws} (${value} (${this.comma} ${value})*)? ${this.ws} "]"`,
    )
    this.#rules.define(
      value,
      `${object} | ${array} | ${string} | ${this.number(false)} | "true" | "false" | "null"`,
    )
    return { value, object }
  }

  /** Any number; JavaScript's precision and range. */
  number(nonNegative: boolean): string {
    const whole = '("0" | [1-9] [0-9]{0,15})'
    const rest = '("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?'
    return this.#rules.add(`${nonNegative ? '' : '"-"? '}${whole} ${rest}`)
  }
}

const classEscaped = (character: string): string =>
  /[\]\\^-]/.test(character) ? `\\x${character.charCodeAt(0).toString(16)}` : character

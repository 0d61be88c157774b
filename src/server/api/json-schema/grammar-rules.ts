/** Bounds of one grammar: llama.cpp reads it anew for each request, and large ones make every token slow. */
const rulesMax = 2_000
const bytesMax = 128 * 1024

/**
 * The rules of a GBNF grammar (llama.cpp's grammars/README.md) while they are written, and the first thing that is wrong
 * with what they are made from. A writer goes on after a problem, as with `FieldReader`; `problem` is looked at in the end.
 */
export class GrammarRules {
  readonly #bodies = new Map<string, string>()
  readonly #names = new Map<string, string>()
  #bytes = 0
  #problem: string | null = null

  get problem(): string | null {
    return this.#problem
  }

  fail(message: string): void {
    this.#problem ??= message
  }

  /** Adds a rule, or finds the one that says the same. @returns its name */
  add(body: string): string {
    const known = this.#names.get(body)
    if (known !== undefined) return known
    const name = this.reserve()
    this.define(name, body)
    this.#names.set(body, name)
    return name
  }

  /** A name for a rule that is defined later, so that others can name it before: recursion. */
  reserve(): string {
    const name = `r${this.#bodies.size}`
    this.define(name, '""')
    return name
  }

  define(name: string, body: string): void {
    this.#bytes += Buffer.byteLength(name) + Buffer.byteLength(body) + 6
    this.#bodies.set(name, body)
    if (this.#bodies.size > rulesMax || this.#bytes > bytesMax)
      this.fail(`it is too large: its grammar is over ${rulesMax} rules or ${bytesMax} bytes`)
  }

  /** @param root what the whole text is */
  text(root: string): string {
    const lines = [...this.#bodies].map(([name, body]) => `${name} ::= ${body}`)
    return `root ::= ${root}\n${lines.join('\n')}\n`
  }

  /** True when nothing more should be written: what follows would only be thrown away. */
  get isOver(): boolean {
    return this.#problem !== null
  }
}

/** Exactly this text, as an expression. */
export const literal = (text: string): string =>
  `"${text.replace(/["\\\n\r\t]/g, character => literalEscapes[character] ?? character)}"`

const literalEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

/** `{min,max}` behind an expression; max null: no end. */
export const repeat = (expression: string, min: number, max: number | null): string => {
  if (max === 0) return '""'
  if (max === null && min === 0) return `${expression}*`
  return `${expression}{${min},${max ?? ''}}`
}

/** A longer run of white space is text like any other; the bound keeps a model that prints only spaces streaming. */
export const heldSpaceCharsMax = 256

/**
 * Holds back white space at the end of what went through, because it belongs to the markup when a marker follows
 * ("text\n\n<tool_call>") and to the text when text does.
 */
export class SpaceGate {
  #held = ''
  #runIsText = false

  /** @returns what is text for certain */
  pass(text: string): string {
    if (text === '') return ''
    let end = text.length
    while (end > 0 && isSpace(text.charCodeAt(end - 1))) end--
    if (end === 0 && this.#runIsText) return text
    let certain = ''
    if (end > 0) {
      certain = this.#held + text.slice(0, end)
      this.#held = ''
      this.#runIsText = false
    }
    this.#held += text.slice(end)
    if (this.#held.length <= heldSpaceCharsMax) return certain
    this.#runIsText = true
    return certain + this.release()
  }

  /** The held space was markup. */
  drop(): void {
    this.#held = ''
    this.#runIsText = false
  }

  /** The held space was text. */
  release(): string {
    const held = this.#held
    this.#held = ''
    return held
  }
}

export const isSpace = (code: number): boolean =>
  code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

/** Position of the first character that is not white space. */
export function skipSpaces(text: string): number {
  let at = 0
  while (at < text.length && isSpace(text.charCodeAt(at))) at++
  return at
}

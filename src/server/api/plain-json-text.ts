/** Longer texts are left to JSON.stringify, which looks at many characters at once. */
export const plainTextUnitsMax = 32

/**
 * Whether JSON writes the text as it is, between quotes. Nearly every token is a few such characters, and looking at them
 * here costs a fraction of the call into JSON.stringify.
 */
export function isPlainJsonText(text: string): boolean {
  if (text.length > plainTextUnitsMax) return false
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < space || unit > lastAscii || unit === quote || unit === backslash) return false
  }
  return true
}

const space = 0x20
const quote = 0x22
const backslash = 0x5c
const lastAscii = 0x7f

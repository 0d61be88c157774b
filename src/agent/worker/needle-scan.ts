/** Where undecided text begins: at a whole needle, at what may become one, or nowhere (`at` is the text's length). */
export type NeedleHit = { readonly at: number; readonly needle: string | null }

/** Shortest first: of several needles that begin at one place, the one that is complete first wins, however text came. */
export const sortNeedles = (needles: readonly string[]): readonly string[] =>
  [...needles].sort((a, b) => a.length - b.length)

/**
 * Finds the first place where a needle is, or may still come. Goes by place, not by needle: a complete needle behind
 * an unfinished one has to wait, so that the answer is the same however the text was cut.
 * @param needles none empty, sorted by `sortNeedles`
 * @param final no more text comes, so what is unfinished is nothing
 */
export function scanForNeedle(text: string, needles: readonly string[], final: boolean): NeedleHit {
  if (needles.length === 0) return { at: text.length, needle: null }
  for (let at = 0; at < text.length; at++) {
    const first = text.charCodeAt(at)
    let unfinished = false
    for (const needle of needles) {
      if (needle.charCodeAt(0) !== first) continue
      if (text.startsWith(needle, at)) return { at, needle }
      if (!final && text.length - at < needle.length && needle.startsWith(text.slice(at)))
        unfinished = true
    }
    if (unfinished) return { at, needle: null }
  }
  return { at: text.length, needle: null }
}

/** Edits (insert, delete, replace, swap neighbours) up to which a word counts as a misspelling of another. */
const editsMax = 3

/** @returns the candidate that was probably meant by a mistyped word, for "did you mean …?"; null when none is near */
export function nearestWord(word: string, candidates: readonly string[]): string | null {
  let nearest: string | null = null
  // A short word is another word after few edits.
  let fewest = Math.min(editsMax, Math.ceil(word.length / 3)) + 1
  for (const candidate of candidates) {
    const edits = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (edits < fewest) {
      fewest = edits
      nearest = candidate
    }
  }
  return nearest
}

/** Optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > editsMax) return editsMax + 1
  let twoAbove: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let edits = Math.min(
        at(above, column) + 1,
        at(current, column - 1) + 1,
        at(above, column - 1) + (same ? 0 : 1),
      )
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (row > 1 && column > 1 && swapped) edits = Math.min(edits, at(twoAbove, column - 2) + 1)
      current.push(edits)
    }
    twoAbove = above
    above = current
  }
  return at(above, b.length)
}

const at = (row: readonly number[], column: number): number => row[column] ?? Infinity

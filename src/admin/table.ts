const widthMax = 80
const gap = '  '

/** Text from the pool (a machine's name, for example) is written by others; it must not steer the terminal. */
export const withoutControls = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, '?')

/**
 * Columns that fit 80 characters: the widest give way, cut with an ellipsis.
 * @returns the lines, each ended, the header first; the header alone when there are no rows
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [header, ...rows.map(row => row.map(withoutControls))]
  const widths = header.map((_, column) =>
    Math.max(...lines.map(line => Bun.stringWidth(line[column] ?? ''))),
  )
  const total = () =>
    widths.reduce((sum, width) => sum + width, 0) + gap.length * (header.length - 1)
  while (total() > widthMax) {
    const widest = widths.indexOf(Math.max(...widths))
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return lines
    .map(
      line =>
        `${line
          .map((text, column) => fit(text, widths[column] ?? 0))
          .join(gap)
          .trimEnd()}\n`,
    )
    .join('')
}

function fit(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text + ' '.repeat(width - Bun.stringWidth(text))
  let shown = ''
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (Bun.stringWidth(shown + segment) >= width) break
    shown += segment
  }
  return `${shown}…${' '.repeat(Math.max(0, width - 1 - Bun.stringWidth(shown)))}`
}

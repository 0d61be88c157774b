/** The first column is text and stands left; figures stand right. */
export type Table = {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** Lines of at most 100 characters, if the cells allow it. */
export function formatTable({ title, columns, rows }: Table): string {
  const widths = columns.map((column, at) =>
    Math.max(column.length, ...rows.map(row => row[at]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    `  ${widths
      .map((width, at) => {
        const cell = cells[at] ?? ''
        return at === 0 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')}`.trimEnd()
  const rule = `  ${widths.map(width => '─'.repeat(width)).join('  ')}`
  return [title, line(columns), rule, ...rows.map(line)].join('\n')
}

/** Breaks text at spaces so that it fits; further lines are indented. */
export function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width - indent.length) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map(each => indent + each).join('\n')
}

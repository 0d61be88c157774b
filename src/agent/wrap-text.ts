/**
 * Breaks a text at its spaces into lines of at most so many characters. A word that is longer (a path, a hash) gets a
 * line of its own and is not cut, so that it can be copied.
 */
export function wrapText(text: string, charactersMax: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (line !== '' && line.length + 1 + word.length > charactersMax) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return line === '' ? lines : [...lines, line]
}

/** A label and, right of it, a text in as many lines as it takes. */
export function hanging(label: string, text: string, indent: number, width = 80): string {
  const [first = '', ...rest] = wrapText(text, width - indent)
  const head = label.length < indent ? label.padEnd(indent) : `${label}\n${' '.repeat(indent)}`
  return [`${head}${first}`, ...rest.map(line => `${' '.repeat(indent)}${line}`)].join('\n')
}

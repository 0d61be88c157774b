const widthCharacters = 30

/** Where a bar is drawn; only a terminal has it redrawn in place. */
export type BarOutput = { readonly isTTY?: boolean; write(text: string): unknown }

/** A bar of a download. On a terminal it grows in its line; elsewhere each tenth of the way is a line. */
export function progressBar(label: string, output: BarOutput) {
  let shown = -1
  return {
    /** @param ratio 0 to 1 */
    show(this: void, ratio: number): void {
      const percent = Math.floor(Math.min(1, Math.max(0, ratio)) * 100)
      const step = output.isTTY === true ? percent : Math.floor(percent / 10) * 10
      if (step <= shown) return
      shown = step
      const full = Math.round((step / 100) * widthCharacters)
      const bar = '#'.repeat(full).padEnd(widthCharacters, '.')
      const text = `${label} [${bar}] ${step} %`
      output.write(output.isTTY === true ? `\r${text}` : `${text}\n`)
    },
    end(this: void): void {
      if (output.isTTY === true && shown >= 0) output.write('\n')
    },
  }
}

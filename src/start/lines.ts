/** A line longer than this is cut: nothing that is read line by line here needs more. */
const lineCharsMax = 64 * 1024

/** Calls `onLine` for every line of a stream, without its end of line. @returns when the stream has ended */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = (lines.pop() ?? '').slice(0, lineCharsMax)
    for (const line of lines) onLine(line.replace(/\r$/, ''))
  }
  if (rest !== '') onLine(rest)
}

/** Orders that came in one chunk, cut at line feeds; the next chunk may complete the last one. */
export async function* orders<Order>(): AsyncGenerator<Order> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of Bun.stdin.stream()) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield JSON.parse(line) as Order
  }
}

/** Says something to the harness: one line of JSON. */
export function say(message: { readonly event: string; readonly [field: string]: unknown }): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

import type { Target } from '../relay/load.ts'
import { continuedText, tokenText } from '../relay/paced-answer.ts'

/** One streamed answer as its client sees it: when which token came. Times are of `performance.now()`, in milliseconds. */
export class WatchedStream {
  tokens = 0
  /** The first token that a second agent made; null: the first one makes them all. */
  movedAt: number | null = null
  problem: string | null = null
  readonly #abort = new AbortController()
  readonly #running = Promise.withResolvers<void>()
  readonly #tokensMin: number
  readonly #ended: Promise<void>

  /** @param tokensMin after so many it counts as running */
  constructor(target: Target, shape: { tokens: number; intervalMs: number; tokensMin: number }) {
    this.#tokensMin = shape.tokensMin
    this.#ended = this.#read(target, shape)
  }

  /** Resolves when it is well under way, or has broken. */
  get running(): Promise<void> {
    return this.#running.promise
  }

  /** Hangs up. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#ended
  }

  async #read(target: Target, shape: { tokens: number; intervalMs: number }): Promise<void> {
    try {
      const response = await this.#ask(target, shape)
      if (!response.ok || response.body === null) throw new Error(await response.text())
      const decoder = new TextDecoder()
      for await (const bytes of response.body)
        this.#take(decoder.decode(bytes, { stream: true }), performance.now())
      this.problem = 'it ended early'
    } catch (error) {
      if (!this.#abort.signal.aborted) this.problem = String(error)
    }
    this.#running.resolve()
  }

  async #ask(
    { port, model, key }: Target,
    { tokens, intervalMs }: { tokens: number; intervalMs: number },
  ) {
    return await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({
        model,
        stream: true,
        max_tokens: tokens,
        // The mock worker reads its rhythm from it.
        top_p: intervalMs / 1_000,
        messages: [{ role: 'user', content: 'Tell me a story.' }],
      }),
      signal: this.#abort.signal,
    })
  }

  /** Every event is written whole, and its words occur nowhere else in it. */
  #take(text: string, now: number): void {
    if (text.includes('"error"')) this.problem ??= text
    const continued = count(text, continuedText)
    this.tokens += count(text, tokenText) + continued
    if (this.tokens >= this.#tokensMin) this.#running.resolve()
    if (continued > 0) this.movedAt ??= now
  }
}

const count = (text: string, word: string): number => text.split(`"${word}"`).length - 1

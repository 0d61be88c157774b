/**
 * Turns bytes that come in arbitrary pieces into text: a character that is cut waits for its end. Bytes that can never
 * become a character are U+FFFD, an unfinished one only when the stream ends. How the bytes were cut never shows.
 */
export class Utf8Assembler {
  // A BOM in an answer is a character like any other; by default the decoder would swallow it.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })

  push(bytes: Uint8Array): string {
    return bytes.length === 0 ? '' : this.#decoder.decode(bytes, { stream: true })
  }

  end(): string {
    return this.#decoder.decode()
  }
}

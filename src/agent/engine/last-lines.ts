const keptBytesMax = 1_500

/** The end of what a process wrote to standard error, for the message about its death. */
export class LastLines {
  readonly #decoder = new TextDecoder()
  #text = ''

  push(chunk: Uint8Array): void {
    this.#text = (this.#text + this.#decoder.decode(chunk, { stream: true })).slice(-keptBytesMax)
  }

  /** Without white space at its ends. */
  get text(): string {
    return this.#text.trim()
  }
}

/**
 * Longest line of an event stream. A line holds one piece of an answer in JSON, which is never shorter than the text in
 * it, so the text always fits a token frame (`limits.tokenFrameBytesMax`).
 */
export const sseLineBytesMax = 128 * 1024

const lineFeed = 10
const carriageReturn = 13
const decoder = new TextDecoder('utf-8')
const dataField = 'data:'

/**
 * Cuts a server's event stream into the data of its events. Pure. Lines end with LF or CRLF; comments and other fields
 * than `data` are skipped. Lines are decoded whole, so a character may be cut between two pieces.
 */
export class SseReader {
  #buffer = new Uint8Array(4_096)
  #length = 0
  #data: string | null = null

  /**
   * @param onData hears the data of each event that is complete
   * @returns what is wrong with the stream, after which it must not be read on; null: nothing
   */
  push(bytes: Uint8Array, onData: (data: string) => void): string | null {
    let at = 0
    while (at < bytes.length) {
      const end = bytes.indexOf(lineFeed, at)
      const piece = bytes.subarray(at, end === -1 ? bytes.length : end)
      if (this.#length + piece.length > sseLineBytesMax) return tooLong
      this.#keep(piece)
      if (end === -1) return null
      const problem = this.#line(onData)
      if (problem !== null) return problem
      at = end + 1
    }
    return null
  }

  /** The stream has ended: an event without the empty line behind it counts as well. */
  end(onData: (data: string) => void): string | null {
    const problem = this.#length === 0 ? null : this.#line(onData)
    if (problem !== null) return problem
    this.#dispatch(onData)
    return null
  }

  #keep(piece: Uint8Array): void {
    const length = this.#length + piece.length
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(Math.min(sseLineBytesMax, Math.max(length, 2 * this.#length)))
      larger.set(this.#buffer.subarray(0, this.#length))
      this.#buffer = larger
    }
    this.#buffer.set(piece, this.#length)
    this.#length = length
  }

  #line(onData: (data: string) => void): string | null {
    const hasReturn = this.#length > 0 && this.#buffer[this.#length - 1] === carriageReturn
    const text = decoder.decode(this.#buffer.subarray(0, this.#length - (hasReturn ? 1 : 0)))
    this.#length = 0
    if (text === '') {
      this.#dispatch(onData)
      return null
    }
    if (!text.startsWith(dataField)) return null
    const from = text[dataField.length] === ' ' ? dataField.length + 1 : dataField.length
    const value = text.slice(from)
    this.#data = this.#data === null ? value : `${this.#data}\n${value}`
    return this.#data.length > sseLineBytesMax ? tooLong : null
  }

  #dispatch(onData: (data: string) => void): void {
    const data = this.#data
    this.#data = null
    if (data !== null) onData(data)
  }
}

const tooLong = `an event of more than ${sseLineBytesMax} bytes`

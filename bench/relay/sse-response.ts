/** What became of one response. */
export type SseEnd = { readonly complete: boolean; readonly problem: string | null }

type State =
  | { readonly name: 'headers' }
  | { readonly name: 'size' }
  | { readonly name: 'data' }
  | { readonly name: 'after_data' }
  | { readonly name: 'trailer' }

const lineFeed = 10
const headersBytesMax = 16 * 1024

/**
 * Reads one HTTP/1.1 response of server-sent events from raw bytes, whatever pieces they come in, and counts its events.
 * As little as possible, so that a client of hundreds of streams costs less than what it measures: chunk sizes are
 * parsed, text is only searched for empty lines.
 */
export class SseResponse {
  /** Events so far; each ends with an empty line. */
  events = 0
  #state: State = { name: 'headers' }
  #line = ''
  #dataLeft = 0
  #endsWithLineFeed = false

  /** @returns the end of the response when these bytes bring it, else null */
  push(bytes: Buffer): SseEnd | null {
    let at = 0
    while (at < bytes.length) {
      if (this.#state.name === 'data') {
        const end = Math.min(bytes.length, at + this.#dataLeft)
        this.#count(bytes, at, end)
        this.#dataLeft -= end - at
        at = end
        if (this.#dataLeft === 0) this.#state = { name: 'after_data' }
        continue
      }
      const feed = bytes.indexOf(lineFeed, at)
      const end = feed < 0 ? bytes.length : feed + 1
      this.#line += bytes.toString('latin1', at, end)
      at = end
      if (this.#line.length > headersBytesMax) return failed('its headers do not end')
      if (feed < 0) return null
      const outcome = this.#lineDone()
      if (outcome !== null) return outcome
    }
    return null
  }

  #lineDone(): SseEnd | null {
    switch (this.#state.name) {
      case 'headers':
        // Lines are collected until the empty one.
        if (!this.#line.endsWith('\r\n\r\n')) return null
        if (!this.#line.startsWith('HTTP/1.1 200 ')) return failed(this.#line.split('\r\n', 1)[0])
        if (!/\r\ntransfer-encoding: *chunked\r\n/i.test(this.#line)) return failed('not chunked')
        this.#state = { name: 'size' }
        break
      case 'size': {
        this.#dataLeft = Number.parseInt(this.#line, 16)
        if (!(this.#dataLeft >= 0)) return failed('a chunk has no size')
        this.#state = { name: this.#dataLeft === 0 ? 'trailer' : 'data' }
        break
      }
      case 'trailer':
        return { complete: true, problem: null }
      case 'after_data':
        this.#state = { name: 'size' }
        break
      case 'data':
    }
    this.#line = ''
    return null
  }

  #count(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      const feed = bytes.indexOf(lineFeed, at)
      if (feed < 0 || feed >= end) {
        this.#endsWithLineFeed = false
        return
      }
      const isEmptyLine = feed === at && (at > start || this.#endsWithLineFeed)
      if (isEmptyLine) this.events++
      this.#endsWithLineFeed = true
      at = feed + 1
    }
  }
}

const failed = (problem = 'no status line'): SseEnd => ({ complete: false, problem })

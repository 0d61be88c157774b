import { readSync } from 'node:fs'

const windowBytes = 1024 * 1024

/**
 * Reads numbers and strings from a file front to back through a window of 1 MiB, so that a header costs its own size
 * in reads and never the file's. The first problem sticks in `refusal`: from then on every read gives zero or an empty
 * text, so a parser checks once per loop instead of after every number.
 */
export class GgufCursor {
  refusal: string | null = null
  readonly #fileDescriptor: number
  readonly #fileBytes: number
  readonly #endBytes: number
  #window: Buffer
  #windowStart = 0
  #windowLength = 0
  #at = 0

  /** @param endBytes reads past this offset are refused, also when the file is longer */
  constructor(fileDescriptor: number, fileBytes: number, endBytes: number) {
    this.#fileDescriptor = fileDescriptor
    this.#fileBytes = fileBytes
    this.#endBytes = Math.min(fileBytes, endBytes)
    this.#window = Buffer.alloc(Math.min(windowBytes, Math.max(1, this.#endBytes)))
  }

  /** Offset of the next read, in bytes from the start of the file. */
  get at(): number {
    return this.#at
  }

  /** Bytes that may still be read. */
  get left(): number {
    return this.#endBytes - this.#at
  }

  refuse(why: string): void {
    this.refusal ??= why
  }

  u8(): number {
    return this.#need(1) ? this.#window.readUInt8(this.#take(1)) : 0
  }
  i8(): number {
    return this.#need(1) ? this.#window.readInt8(this.#take(1)) : 0
  }
  u16(): number {
    return this.#need(2) ? this.#window.readUInt16LE(this.#take(2)) : 0
  }
  i16(): number {
    return this.#need(2) ? this.#window.readInt16LE(this.#take(2)) : 0
  }
  u32(): number {
    return this.#need(4) ? this.#window.readUInt32LE(this.#take(4)) : 0
  }
  i32(): number {
    return this.#need(4) ? this.#window.readInt32LE(this.#take(4)) : 0
  }
  f32(): number {
    return this.#need(4) ? this.#window.readFloatLE(this.#take(4)) : 0
  }
  f64(): number {
    return this.#need(8) ? this.#window.readDoubleLE(this.#take(8)) : 0
  }
  u64(): bigint {
    return this.#need(8) ? this.#window.readBigUInt64LE(this.#take(8)) : 0n
  }
  i64(): bigint {
    return this.#need(8) ? this.#window.readBigInt64LE(this.#take(8)) : 0n
  }

  /** A 64-bit count or length that must not be over `max`; `what` names it in the refusal. */
  count(max: number, what: string): number {
    const value = this.u64()
    if (value <= BigInt(max)) return Number(value)
    this.refuse(`${what} is ${value}, over the limit of ${max}`)
    return 0
  }

  /** A string with its 64-bit length before it. Invalid UTF-8 becomes U+FFFD. */
  string(bytesMax: number, what: string): string {
    const length = this.count(bytesMax, `the length of ${what} in bytes`)
    if (length === 0 || !this.#need(length)) return ''
    const start = this.#take(length)
    return this.#window.toString('utf8', start, start + length)
  }

  /** Makes the next `bytes` bytes available in the window. */
  #need(bytes: number): boolean {
    if (this.refusal !== null) return false
    if (this.#at + bytes > this.#endBytes) {
      this.refuse(
        this.#endBytes < this.#fileBytes
          ? `the header is longer than the limit of ${this.#endBytes} bytes`
          : `the file ends inside its header, at byte ${this.#fileBytes}`,
      )
      return false
    }
    if (this.#at + bytes <= this.#windowStart + this.#windowLength) return true
    return this.#fill(bytes)
  }

  #fill(bytes: number): boolean {
    if (bytes > this.#window.length) this.#window = Buffer.alloc(bytes)
    this.#windowStart = this.#at
    this.#windowLength = 0
    const wanted = Math.min(this.#window.length, this.#endBytes - this.#at)
    while (this.#windowLength < wanted) {
      const position = this.#windowStart + this.#windowLength
      const read = this.#readAt(position, wanted - this.#windowLength)
      if (read === null) return false
      if (read === 0) {
        this.refuse(`the file became shorter while it was read, at byte ${position}`)
        return false
      }
      this.#windowLength += read
    }
    return true
  }

  #readAt(position: number, length: number): number | null {
    try {
      return readSync(this.#fileDescriptor, this.#window, this.#windowLength, length, position)
    } catch (error) {
      this.refuse(
        `the file cannot be read: ${error instanceof Error ? error.message : 'no reason'}`,
      )
      return null
    }
  }

  #take(bytes: number): number {
    const offset = this.#at - this.#windowStart
    this.#at += bytes
    return offset
  }
}

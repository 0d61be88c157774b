const blockBytes = 512
const sizeBytesMax = 8 ** 11

/** Receives the files of an archive, one after the other. */
export type TarSink = {
  begin(path: string, sizeBytes: number): void
  write(bytes: Uint8Array): void
  end(): void
}

/** The block before a file's bytes, in the ustar format: any tar can read our archives. */
export function tarHeader(path: string, sizeBytes: number): Uint8Array {
  const block = Buffer.alloc(blockBytes)
  const { prefix, name } = splitPath(path)
  if (sizeBytes >= sizeBytesMax) throw new Error(`${path} is too large for a tar archive`)
  block.write(name, 0)
  block.write('0000644\0', 100)
  block.write('0000000\0'.repeat(2), 108)
  block.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124)
  block.write('00000000000\0', 136)
  block.write(' '.repeat(8), 148)
  block.write('0', 156)
  block.write('ustar\u000000', 257)
  block.write(prefix, 345)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** What follows a file's bytes. */
export const tarPadding = (sizeBytes: number): Uint8Array =>
  new Uint8Array((blockBytes - (sizeBytes % blockBytes)) % blockBytes)

/** What ends an archive. */
export const tarEnd = (): Uint8Array => new Uint8Array(2 * blockBytes)

/** Names have 100 bytes; a longer path is cut at a slash, 155 bytes before it. */
function splitPath(path: string): { readonly prefix: string; readonly name: string } {
  if (Buffer.byteLength(path) <= 100) return { prefix: '', name: path }
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)]
    if (Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return { prefix, name }
  }
  throw new Error(`the path is too long for a tar archive: ${path}`)
}

/**
 * Reads an archive in pieces of any size, holding no more than one block of it. Takes plain files only, which is what
 * our packs are made of.
 */
export class TarReader {
  readonly #sink: TarSink
  readonly #block = Buffer.alloc(blockBytes)
  #blockFilled = 0
  #fileLeft = 0
  #paddingLeft = 0
  #ended = false

  constructor(sink: TarSink) {
    this.#sink = sink
  }

  /** Whether the mark at the archive's end was seen: one that was cut off has none. */
  get ended(): boolean {
    return this.#ended
  }

  /** @throws Error when this is no tar archive, or one with anything but files */
  push(bytes: Uint8Array): void {
    let rest = bytes
    while (rest.length > 0 && !this.#ended) rest = rest.subarray(this.#take(rest))
  }

  /** @returns how many bytes were used */
  #take(bytes: Uint8Array): number {
    if (this.#fileLeft > 0) {
      const part = bytes.subarray(0, this.#fileLeft)
      this.#sink.write(part)
      this.#fileLeft -= part.length
      if (this.#fileLeft === 0) this.#sink.end()
      return part.length
    }
    if (this.#paddingLeft > 0) {
      const skipped = Math.min(bytes.length, this.#paddingLeft)
      this.#paddingLeft -= skipped
      return skipped
    }
    const part = bytes.subarray(0, blockBytes - this.#blockFilled)
    this.#block.set(part, this.#blockFilled)
    this.#blockFilled += part.length
    if (this.#blockFilled === blockBytes) this.#header()
    return part.length
  }

  #header(): void {
    this.#blockFilled = 0
    if (this.#block.every(byte => byte === 0)) {
      this.#ended = true
      return
    }
    const type = this.#block[156]
    if (this.#text(257, 5) !== 'ustar' || (type !== 0x30 && type !== 0))
      throw new Error('the archive is damaged')
    const sizeBytes = Number.parseInt(this.#text(124, 12), 8)
    const [prefix, name] = [this.#text(345, 155), this.#text(0, 100)]
    this.#fileLeft = sizeBytes
    this.#paddingLeft = tarPadding(sizeBytes).length
    this.#sink.begin(prefix === '' ? name : `${prefix}/${name}`, sizeBytes)
    if (sizeBytes === 0) this.#sink.end()
  }

  #text(offset: number, length: number): string {
    const bytes = this.#block.subarray(offset, offset + length)
    const end = bytes.indexOf(0)
    return bytes.toString('utf8', 0, end === -1 ? length : end)
  }
}

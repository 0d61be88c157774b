import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ggufFacts, tokenizerFacts } from './gguf-facts.ts'
import { readGgufHeader, type GgufHeader } from './gguf-header.ts'

const demoPath = join(import.meta.dir, '../../models/demo/gpupool-demo.gguf')
const demo = readFileSync(demoPath)
let directory = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'gpupool-gguf-'))
})
afterAll(() => {
  rmSync(directory, { recursive: true })
})

/** Reads `bytes` as the beginning of a file of `fileBytes` bytes; the rest of the file is a hole. */
function readBytes(bytes: Uint8Array, fileBytes = bytes.length): GgufHeader | string {
  const path = join(directory, 'model.gguf')
  writeFileSync(path, bytes)
  truncateSync(path, fileBytes)
  return readGgufHeader(path)
}

function demoHeader(): GgufHeader {
  const header = readGgufHeader(demoPath)
  if (typeof header === 'string') throw new Error(header)
  return header
}

const headerBytes = Math.min(...demoHeader().tensors.map(tensor => tensor.offsetBytes))

/** A header made by hand: each part is a u32, a u64 (bigint) or a text with its length. */
function made(...parts: readonly (number | bigint | string)[]): Uint8Array {
  const pieces = parts.map(part => {
    if (typeof part === 'number') return new Uint8Array(new Uint32Array([part]).buffer)
    if (typeof part === 'bigint') return new Uint8Array(new BigUint64Array([part]).buffer)
    const text = Buffer.from(part)
    return Buffer.concat([new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer), text])
  })
  return Buffer.concat([Buffer.from('GGUF'), ...pieces])
}

describe('the demo model', () => {
  test('its header gives what the maker wrote', () => {
    const header = demoHeader()
    expect(header.version).toBe(3)
    expect(header.fileBytes).toBe(demo.length)
    expect(header.metadata.get('general.name')).toBe('gpupool-demo')
    expect(header.metadata.get('llama.rope.freq_base')).toBeNumber()
    expect(header.tensors.length).toBe(56)
    expect(header.tensors.reduce((sum, tensor) => sum + tensor.elements, 0)).toBe(4_951_296)
    expect(header.tensors[0]).toMatchObject({ name: 'token_embd.weight', dimensions: [256, 2048] })
  })

  test('the facts are the ones a manifest needs', () => {
    expect(ggufFacts(demoHeader())).toMatchObject({
      architecture: 'llama',
      quantisation: 'Q8_0',
      contextTokensTrained: 1024,
      chatTemplateSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    const tokenizer = tokenizerFacts(demoHeader())
    if (typeof tokenizer === 'string') throw new Error(tokenizer)
    expect(tokenizer.model).toBe('gpt2')
    expect(tokenizer.tokens.length).toBe(2048)
    expect(tokenizer.types.filter(type => type === 3).length).toBe(3)
    expect(tokenizer.tokens[tokenizer.eosId ?? -1]).toBe('<|im_end|>')
    expect(tokenizer.addBos).toBe(false)
  })

  test('without general.file_type the type of most elements counts', () => {
    const header = demoHeader()
    const metadata = new Map(header.metadata)
    metadata.delete('general.file_type')
    expect(ggufFacts({ ...header, metadata })).toMatchObject({ quantisation: 'Q8_0' })
  })
})

describe('refuses with a reason', () => {
  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ['an empty file', new Uint8Array(0), 'ends inside its header'],
    ['another kind of file', Buffer.from('PK\x03\x04 and more'), 'does not begin with "GGUF"'],
    ['version 1', made(1, 0n, 0n), 'version 1 is not supported'],
    ['a big-endian file', made(0x03000000, 0n, 0n), 'is not supported'],
    ['2^64 - 1 tensors', made(3, 2n ** 64n - 1n, 0n), 'over the limit of 131072'],
    ['2^63 metadata entries', made(3, 0n, 2n ** 63n), 'over the limit of 65536'],
    ['a key of 2^40 bytes', made(3, 0n, 1n, 2n ** 40n), 'over the limit of 65535'],
    ['an unknown value type', made(3, 0n, 1n, 'k', 99), 'value type 99 is unknown'],
    [
      'an array that cannot fit',
      made(3, 0n, 1n, 'k', 9, 10, 4_000_000n),
      'does not fit into the rest of the file',
    ],
    [
      'an array of unknown elements',
      made(3, 0n, 1n, 'k', 9, 77, 1n, 0n),
      'array element type 77 is unknown',
    ],
    [
      'arrays in arrays in arrays',
      made(3, 0n, 1n, 'k', 9, 9, 1n, 9, 1n, 9, 1n, 9, 1n, 9, 1n, 0n, 0n, 0n, 0n, 0n),
      'nested deeper',
    ],
    ['a key that comes twice', made(3, 0n, 2n, 'k', 4, 1, 'k', 4, 1), 'comes twice'],
    ['an alignment of 3', made(3, 0n, 1n, 'general.alignment', 4, 3), 'power of two'],
    ['an unknown tensor type', made(3, 1n, 0n, 't', 1, 32n, 33, 0n), 'type 33 is unknown'],
    ['five dimensions', made(3, 1n, 0n, 't', 5), 'over the limit of 4'],
    [
      'a tensor behind the end of the file',
      made(3, 1n, 0n, 't', 1, 32n, 0, 2n ** 40n),
      'behind the end of the file',
    ],
    [
      'dimensions whose product overflows 64 bits',
      made(3, 1n, 0n, 't', 4, 2n ** 32n, 2n ** 32n, 2n ** 32n, 2n ** 32n, 0, 0n),
      'behind the end of the file',
    ],
    ['an unaligned tensor', made(3, 1n, 0n, 't', 1, 1n, 0, 1n), 'not a multiple of 32'],
    ['half a block', made(3, 1n, 0n, 't', 1, 16n, 8, 0n), 'do not fill blocks of 32'],
  ]
  for (const [what, bytes, reason] of cases)
    test(what, () => {
      expect(readBytes(bytes)).toContain(reason)
    })

  test('a missing file and a directory', () => {
    expect(readGgufHeader(join(directory, 'missing.gguf'))).toContain('cannot be opened')
    expect(readGgufHeader(directory)).toBeString()
  })

  test('the demo model without its last byte', () => {
    expect(readBytes(demo.subarray(0, headerBytes), demo.length - 32)).toContain('behind the end')
  })
})

/** mulberry32: small and the same everywhere, so that a failing mutation can be repeated. */
function seededRandom(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

describe('hostile headers', () => {
  test('every one of 300 seeded mutations is answered', () => {
    const random = seededRandom(20_261)
    let refused = 0
    for (let round = 0; round < 300; round++) {
      const bytes = Uint8Array.from(demo.subarray(0, headerBytes))
      // Most bytes are token texts; aiming half of the hits at the structured ends makes them count.
      for (let hits = 1 + random(8); hits > 0; hits--) {
        const at =
          random(2) === 0
            ? random(bytes.length)
            : random(2) === 0
              ? random(1200)
              : bytes.length - 1 - random(3000)
        bytes[at] = random(2) === 0 ? 255 : random(256)
      }
      const header = readBytes(bytes, demo.length)
      if (typeof header === 'string') {
        expect(header).not.toBe('')
        refused++
        continue
      }
      for (const tensor of header.tensors)
        expect(tensor.offsetBytes + tensor.sizeBytes).toBeLessThanOrEqual(demo.length)
      ggufFacts(header)
      tokenizerFacts(header)
    }
    expect(refused).toBeGreaterThan(100)
  })

  test('every one of 100 truncations is refused', () => {
    const random = seededRandom(7)
    for (let round = 0; round < 100; round++)
      expect(readBytes(demo.subarray(0, random(headerBytes)))).toBeString()
  })
})

test('a named pipe is refused at once, though nobody writes into it', () => {
  const path = join(directory, 'pipe')
  expect(Bun.spawnSync(['mkfifo', path]).exitCode).toBe(0)
  expect(readGgufHeader(path)).toBe('this is not a regular file')
})

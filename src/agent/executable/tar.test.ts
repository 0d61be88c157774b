import { expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { tarEnd, tarHeader, tarPadding, TarReader } from './tar.ts'

const long = `${'folder/'.repeat(16)}${'name'.repeat(20)}.js`

function archive(files: Readonly<Record<string, Uint8Array>>): Buffer {
  const parts = Object.entries(files).flatMap(([path, bytes]) => [
    tarHeader(path, bytes.length),
    bytes,
    tarPadding(bytes.length),
  ])
  return Buffer.concat([...parts, tarEnd()])
}

function read(pieces: readonly Uint8Array[]) {
  const found: Record<string, Buffer> = {}
  let [path, size, parts]: [string, number, Uint8Array[]] = ['', 0, []]
  const reader = new TarReader({
    begin: (name, sizeBytes) => void ([path, size, parts] = [name, sizeBytes, []]),
    write: bytes => void parts.push(bytes.slice()),
    end: () => {
      found[path] = Buffer.concat(parts)
      expect(found[path]).toHaveLength(size)
    },
  })
  for (const piece of pieces) reader.push(piece)
  return { found, ended: reader.ended }
}

test('what was put in comes out, in whatever pieces it arrives', () => {
  const contents = fc.dictionary(
    fc.stringMatching(/^[a-z]{1,8}(?:\/[a-z]{1,8}){0,3}$/),
    fc.uint8Array({ maxLength: 2_000 }),
    { maxKeys: 5, noNullPrototype: true },
  )
  fc.assert(
    fc.property(contents, fc.integer({ min: 1, max: 3_000 }), (files, pieceBytes) => {
      const bytes = archive(files)
      const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, index) =>
        bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
      )
      const { found, ended } = read(pieces)
      expect(ended).toBe(true)
      expect(Object.keys(found)).toEqual(Object.keys(files))
      for (const [path, expected] of Object.entries(files))
        expect(found[path]?.equals(expected)).toBe(true)
    }),
    { numRuns: 200 },
  )
})

test('any tar reads it, long paths too', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpupool-tar-'))
  try {
    writeFileSync(
      join(folder, 'a.tar'),
      archive({ [long]: Buffer.from('deep'), 'a.js': Buffer.from('a') }),
    )
    const tar = Bun.spawnSync(['tar', '-xf', 'a.tar'], { cwd: folder })
    expect(tar.stderr.toString()).toBe('')
    expect(readFileSync(join(folder, long), 'utf8')).toBe('deep')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('what is cut off or no archive is noticed', () => {
  const bytes = archive({ 'a.js': Buffer.from('a') })
  expect(read([bytes.subarray(0, 1_024)]).ended).toBe(false)
  expect(() => read([Buffer.alloc(512, 1)])).toThrow('damaged')
  expect(() => tarHeader('x'.repeat(300), 1)).toThrow('too long')
})

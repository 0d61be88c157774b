import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeModel } from './describe-model.ts'
import { readGgufHeader } from './gguf-header.ts'
import { readModelHeader, splitPaths, splitSha256 } from './split-gguf.ts'
import { writeSyntheticGguf, type SyntheticValue } from './synthetic-gguf.ts'

let dir = ''
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-split-'))
  const metadata = new Map<string, SyntheticValue>([
    ['general.architecture', { text: 'llama' }],
    ['llama.context_length', { u32: 512 }],
    ['split.count', { u32: 2 }],
  ])
  for (const number of [1, 2])
    await writeSyntheticGguf(
      join(dir, `big-0000${number}-of-00002.gguf`),
      { metadata, tensors: [{ name: `t${number}`, type: 0, dimensions: [32, number] }] },
      'random',
    )
  await writeSyntheticGguf(join(dir, 'alone.gguf'), { metadata, tensors: [] }, 'random')
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const path = (number: number) => join(dir, `big-0000${number}-of-00002.gguf`)

test('the parts are found by the name of the first, and another part says which that is', () => {
  expect(splitPaths('/m/a.gguf')).toBeNull()
  expect(splitPaths('/m/a-00001-of-00002.gguf')).toEqual([
    '/m/a-00001-of-00002.gguf',
    '/m/a-00002-of-00002.gguf',
  ])
  expect(splitPaths('/m/a-00002-of-00002.gguf')).toContain('/m/a-00001-of-00002.gguf')
  expect(splitPaths('/m/a-00001-of-99999.gguf')).toBeString()
})

test('the header has the tensors of all parts, none on top of another', () => {
  const second = readGgufHeader(path(2))
  if (typeof second === 'string') throw new Error(second)
  const offsetBytes = statSync(path(1)).size + (second.tensors[0]?.offsetBytes ?? 0)
  expect(readModelHeader(path(1))).toMatchObject({
    tensors: [{ name: 't1' }, { name: 't2', offsetBytes }],
    fileBytes: statSync(path(1)).size + statSync(path(2)).size,
  })
})

test('the manifest has a hash for each part, and one for all', async () => {
  const parts = [1, 2].map(number => ({
    sha256: new Bun.CryptoHasher('sha256').update(readFileSync(path(number))).digest('hex'),
    sizeBytes: statSync(path(number)).size,
  }))
  expect(await describeModel(path(1))).toMatchObject({
    parts,
    sha256: splitSha256(parts),
    sizeBytes: (parts[0]?.sizeBytes ?? 0) + (parts[1]?.sizeBytes ?? 0),
  })
})

test('one part alone, or without its name, is refused in words', async () => {
  const refusal = (text: string) => ({ message: expect.stringContaining(text) })
  expect(await describeModel(path(2))).toMatchObject(refusal('this is part 2 of a split model'))
  expect(await describeModel(join(dir, 'alone.gguf'))).toMatchObject(refusal('one of 2 parts'))
})

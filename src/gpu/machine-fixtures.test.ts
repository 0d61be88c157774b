import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A page on the web, or a file in a public repository as `owner/name:path`. */
const lookUp = /^(https:\/\/\S+|[\w.-]+\/[\w.-]+:\S+)$/

describe.each(['amd', 'apple', 'cpu', 'intel', 'windows'])('recorded outputs: %s', vendor => {
  const dir = join(import.meta.dir, 'fixtures', vendor)
  const index = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')) as Record<
    string,
    { source?: string; what?: string }
  >
  const files = readdirSync(dir).filter(name => name !== 'index.json')

  test('every file is listed with a source that can be looked up, or is named synthetic', () => {
    for (const file of files.filter(name => !name.startsWith('synthetic-'))) {
      expect(index[file], file).toBeDefined()
      expect(index[file]?.source ?? '').toMatch(lookUp)
      expect(index[file]?.what ?? '').not.toBe('')
    }
  })

  test('nothing is listed that is not there', () => {
    expect(Object.keys(index).filter(name => !files.includes(name))).toEqual([])
  })
})

import { describe, expect, test } from 'bun:test'
import { readJson } from './read-json.ts'

const read = (body: string) =>
  readJson(new Request('http://pool.test/', { method: 'POST', body }), 1_000_000)
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

describe('nesting', () => {
  test('as deep as anybody needs is read', async () => {
    expect(await read(nested(128))).toHaveProperty('json')
    expect(await read('{"a":'.repeat(128) + '1' + '}'.repeat(128))).toHaveProperty('json')
  })

  test('deeper is refused before it is parsed', async () => {
    expect(await read(nested(129))).toMatchObject({ code: 'invalid_request' })
    expect(await read(nested(200_000))).toMatchObject({ code: 'invalid_request' })
  })

  test('brackets in strings do not count, whatever is escaped there', async () => {
    for (const text of ['['.repeat(500), '\\', '"'.repeat(300), '\\"[['.repeat(200), '[{"'])
      expect(await read(JSON.stringify({ text }))).toEqual({ json: { text } })
  })

  test('side by side is not deep', async () => {
    expect(await read(`[${Array.from({ length: 5_000 }, () => '[[]]').join(',')}]`)).toHaveProperty(
      'json',
    )
  })
})

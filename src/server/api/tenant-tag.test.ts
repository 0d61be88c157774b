import { expect, test } from 'bun:test'
import { createTenantTag } from './tenant-tag.ts'

const tag = createTenantTag(Buffer.from('one secret'))

test('a key has one tag, another key another one, and no tag tells the key', () => {
  expect(tag('key-1')).toBe(tag('key-1'))
  expect(tag('key-1')).not.toBe(tag('key-2'))
  expect(tag('key-1')).toMatch(/^[\w-]{32}$/)
})

test('without the secret nobody makes the tag of a key', () => {
  expect(createTenantTag(Buffer.from('another secret'))('key-1')).not.toBe(tag('key-1'))
})

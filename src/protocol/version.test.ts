import { expect, test } from 'bun:test'
import { negotiateVersion, protocolVersion, protocolVersionsSpoken } from './version.ts'

test('the newest version that both speak is taken', () => {
  expect(negotiateVersion([3, 2], [1, 2, 3])).toBe(3)
  expect(negotiateVersion([3, 2], [2, 1])).toBe(2)
  expect(negotiateVersion([3, 2], [1])).toBeUndefined()
  expect(negotiateVersion([3, 2], [])).toBeUndefined()
})

test('this build speaks the version that it says it is, and at most the one before', () => {
  expect(protocolVersionsSpoken[0]).toBe(protocolVersion)
  expect(protocolVersionsSpoken.length).toBeLessThanOrEqual(2)
})

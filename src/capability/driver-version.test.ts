import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { compareVersions, isInRange } from './driver-version.ts'

test.each<[string, string, -1 | 0 | 1]>([
  ['535.104.05', '545', -1],
  ['545.23.08', '545', 1],
  ['545', '545', 0],
  ['32.0.101.8425', '32.0.101.8860', -1],
  ['32.0.101.10000', '32.0.101.9999', 1],
  ['6.8.0-117-generic', '7', -1],
  ['7.2.3', '7.11.0', -1],
  ['8.9', '10.0', -1],
])('%s against %s', (left, right, sign) => {
  expect(Math.sign(compareVersions(left, right) ?? Number.NaN)).toBe(sign)
})

test.each(['', 'unknown', 'kernel 6.8.0', 'Mesa'])('%p is no version', text => {
  expect(compareVersions(text, '1')).toBeNull()
  expect(isInRange(text, '1', '2')).toBeNull()
})

test('a range holds its beginning and not its end', () => {
  expect(isInRange('545', '545', '546')).toBe(true)
  expect(isInRange('545.99.99', '545', '546')).toBe(true)
  expect(isInRange('546', '545', '546')).toBe(false)
  expect(isInRange('544.99', '545', '546')).toBe(false)
})

test('the order is one: opposite seen from the other side, and passed on', () => {
  const version = fc
    .array(fc.nat({ max: 99 }), { minLength: 1, maxLength: 4 })
    .map(n => n.join('.'))
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      const [ab, ba] = [compareVersions(a, b)!, compareVersions(b, a)!]
      expect(Math.sign(ab) + Math.sign(ba)).toBe(0)
      if (ab <= 0 && compareVersions(b, c)! <= 0)
        expect(compareVersions(a, c)!).toBeLessThanOrEqual(0)
    }),
  )
})

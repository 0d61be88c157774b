import { expect, test } from 'bun:test'
import { formatTable } from './table.ts'

test('columns are as wide as their widest text', () => {
  expect(formatTable(['A', 'BB'], [['xxx', 'y']])).toBe('A    BB\nxxx  y\n')
})

test('a table too wide gives way where it is widest', () => {
  const [, row] = formatTable(['A', 'B'], [['short', 'x'.repeat(200)]]).split('\n')
  expect(row).toStartWith('short  x')
  expect(row).toEndWith('…')
  expect(row).toHaveLength(80)
})

test('wide characters count as what a terminal makes of them, and are never cut in two', () => {
  const [, row] = formatTable(['A'], [['👩‍👩‍👧'.repeat(60)]]).split('\n')
  expect(Bun.stringWidth(row!)).toBeLessThanOrEqual(80)
  expect(row!.replaceAll('👩‍👩‍👧', '')).toBe('…')
})

test('no rows leave the header', () => {
  expect(formatTable(['A', 'B'], [])).toBe('A  B\n')
})

test('a name cannot turn the line around or break it', () => {
  const [, row] = formatTable(['A'], [['a\u202eb\u2028c\u001b[31md']]).split('\n')
  expect(row).toBe('a?b?c?[31md')
})

import { expect, test } from 'bun:test'
import { parseDuration } from './duration.ts'

test('a number and a unit are a duration', () => {
  expect(['90s', '15m', '2h', '7d'].map(parseDuration)).toEqual([
    90_000, 900_000, 7_200_000, 604_800_000,
  ])
})

test('anything else is none', () => {
  for (const text of ['', '15', 'm', '1.5h', '-1m', '1w', '15 m', '15mm', '1toString'])
    expect(parseDuration(text)).toBeNull()
})

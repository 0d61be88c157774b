import { expect, test } from 'bun:test'
import { progressBar } from './progress-bar.ts'

function drawn(isTTY: boolean, ratios: readonly number[]): readonly string[] {
  const written: string[] = []
  const bar = progressBar('m', { isTTY, write: text => written.push(text) })
  for (const ratio of ratios) bar.show(ratio)
  bar.end()
  return written
}

test('on a terminal the bar grows in its line, and only when it changes', () => {
  expect(drawn(true, [0, 0.001, 0.5, 0.4, 1.2])).toEqual([
    `\rm [${'.'.repeat(30)}] 0 %`,
    `\rm [${'#'.repeat(15)}${'.'.repeat(15)}] 50 %`,
    `\rm [${'#'.repeat(30)}] 100 %`,
    '\n',
  ])
})

test('in a file each tenth of the way is a line', () => {
  expect(drawn(false, [0.05, 0.11, 0.19, 0.55]).map(line => line.slice(-6))).toEqual([
    '] 0 %\n',
    ' 10 %\n',
    ' 50 %\n',
  ])
})

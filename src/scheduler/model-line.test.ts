import { describe, expect, test } from 'bun:test'
import { numbers, waiting } from '../../test/support/waiting.ts'
import { ModelLine, passedMax } from './model-line.ts'
import { priorities } from './priority.ts'
import type { Waiting } from './waiting.ts'

function begin(line: ModelLine): Waiting {
  const [interrupted] = line.interrupted()
  const next = interrupted ?? line.next(new Set())
  if (next === undefined) throw new Error('nobody waits')
  line.begin(next)
  return next
}

describe('classes', () => {
  test('go one after the other, interrupted ones before all', () => {
    const line = new ModelLine()
    for (const priority of ['low', 'normal', 'high'] as const)
      line.enter(waiting(priority, { priority, tenant: priority }))
    line.enterInterrupted(waiting('interrupted', { priority: 'low' }))
    const order = Array.from({ length: 4 }, () => begin(line).jobId as string)
    expect(order).toEqual(['interrupted', 'high', 'normal', 'low'])
  })

  test('none starves: low gets a start in 17, normal at least one in 6, whatever the others ask for', () => {
    const line = new ModelLine()
    let job = 0
    const enter = (priority: (typeof priorities)[number]) =>
      line.enter(waiting(`${job++}`, { priority, costTokens: 1 }))
    for (const priority of priorities) for (let i = 0; i < 3; i++) enter(priority)
    const starts = Array.from({ length: 17 * 12 }, () => {
      const { priority } = begin(line)
      enter(priority)
      return priority
    })
    const longestGap = (priority: string) =>
      starts
        .join(' ')
        .split(priority)
        .reduce((longest, gap) => Math.max(longest, gap.split(' ').filter(Boolean).length), 0)
    expect(longestGap('low')).toBe(passedMax.low)
    expect(longestGap('normal')).toBe(passedMax.normal + 1)
    expect(starts.filter(priority => priority === 'high').length).toBeGreaterThan(100)
  })

  test('one that does not wait saves up no turns', () => {
    const line = new ModelLine()
    for (let i = 0; i < 40; i++) line.enter(waiting(`h${i}`, { priority: 'high' }))
    for (let i = 0; i < 30; i++) begin(line)
    line.enter(waiting('low', { priority: 'low' }))
    expect(begin(line).priority).toBe('high')
  })
})

test('the order is told as it comes to be when nobody else comes', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = numbers(seed)
    const line = new ModelLine()
    for (let i = 0; i < 120; i++) {
      const priority = priorities[random(3)] ?? 'normal'
      const entering = waiting(`${i}`, {
        priority,
        tenant: `${random(5)}`,
        costTokens: random(300),
      })
      if (random(10) === 0) line.enterInterrupted(entering)
      else line.enter(entering)
      expect(line.order()[line.placeOfNew(entering) - 1]).toBe(entering)
      if (random(3) === 0) begin(line)
    }
    const told = line.order().map(({ jobId }) => jobId)
    expect(Array.from({ length: line.length }, () => begin(line).jobId)).toEqual(told)
  }
})

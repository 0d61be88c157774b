import { expect, test } from 'bun:test'
import { Lanes } from './lanes.ts'

test('whoever asked first gets the next free lane, and no lane has two', async () => {
  const lanes = new Lanes(['x', 'y'])
  const order: string[] = []
  const ends: (() => void)[] = []
  const uses = ['1', '2', '3', '4'].map(name =>
    lanes.with(lane => {
      order.push(name + lane)
      return new Promise<void>(resolve => ends.push(resolve))
    }),
  )
  await new Promise(setImmediate)
  expect(order).toEqual(['1x', '2y'])
  ends[1]?.()
  await uses[1]
  await new Promise(setImmediate)
  expect(order).toEqual(['1x', '2y', '3y'])
  for (const end of ends) end()
  await new Promise(setImmediate)
  for (const end of ends) end()
  await Promise.all(uses)
  expect(order).toHaveLength(4)
})

test('a use that throws gives its lane back', async () => {
  const lanes = new Lanes(['x'])
  const broken = lanes.with(() => Promise.reject(new Error('broken')))
  await expect(broken).rejects.toThrow('broken')
  expect(await lanes.with(lane => Promise.resolve(lane))).toBe('x')
})

import { expect, test } from 'bun:test'
import { Compile } from 'typebox/compile'
import { InventorySchema } from '../protocol/gpu.ts'
import { availableOf, memoryWithin, readMachine, readMemory } from './machine.ts'

const gib = 1024 ** 3

test('this machine fits the protocol', async () => {
  expect(Compile(InventorySchema).Check(await readMachine({ gpus: [] }))).toBe(true)
})

test('available memory is what the kernel can give, not what is idle', () => {
  const meminfo =
    'MemTotal:       24684096 kB\nMemFree:         1979228 kB\nMemAvailable:   18182664 kB\n'
  expect(availableOf(meminfo)).toBe(18_182_664 * 1024)
  expect(availableOf(null)).toBeNull()
  expect(readMemory().availableBytes).toBeGreaterThan(0)
})

test("a container's limit comes before the machine's memory", () => {
  const machine = { totalBytes: 64 * gib, availableBytes: 60 * gib }
  expect(memoryWithin({ memoryBytes: 4 * gib, memoryUsedBytes: gib }, machine)).toEqual({
    totalBytes: 4 * gib,
    availableBytes: 3 * gib,
  })
  expect(memoryWithin({ memoryBytes: null, memoryUsedBytes: null }, machine)).toEqual(machine)
})

import { expect, test } from 'bun:test'
import { calibrationModel, type CalibrationRoom } from './calibration-model.ts'

const gigabyte = 1024 ** 3
const plenty = { availableMemoryBytes: 64 * gigabyte, diskFreeBytes: 500 * gigabyte }
const cpu = (change: object = {}): CalibrationRoom => ({
  ...plenty,
  kind: 'cpu',
  lastCacheBytes: 32 * 1024 ** 2,
  ...change,
})
const made = (room: CalibrationRoom) => {
  const model = calibrationModel(room)
  if ('problem' in model) throw new Error(model.problem)
  return model
}

test('the processor gets about a hundred megabytes, and more than its cache holds', () => {
  expect(made(cpu()).bytes / 1e6).toBeGreaterThan(80)
  expect(made(cpu()).bytes / 1e6).toBeLessThan(120)
  const cache = 256 * 1024 ** 2
  expect(made(cpu({ lastCacheBytes: cache })).bytes).toBeGreaterThan(cache)
})

test('a GPU gets up to a gigabyte, and never more than a quarter of its memory', () => {
  const gpu = (vramBytes: number | null) => made({ ...plenty, kind: 'gpu', vramBytes })
  expect(gpu(24 * gigabyte).bytes / 1e6).toBeGreaterThan(800)
  expect(gpu(24 * gigabyte).bytes / 1e6).toBeLessThan(1_050)
  expect(gpu(2 * gigabyte).bytes).toBeLessThanOrEqual(gigabyte / 2)
  expect(gpu(null).bytes).toBeLessThanOrEqual(1_050e6)
})

test('where memory or disk is short it is smaller, and then there is none, with the reason', () => {
  const tight = made(cpu({ availableMemoryBytes: 0.4 * gigabyte }))
  expect(tight.bytes).toBeLessThanOrEqual((0.4 * gigabyte) / 8)
  const short = { problem: expect.stringContaining('too little memory') }
  expect(calibrationModel(cpu({ availableMemoryBytes: 0.1 * gigabyte }))).toEqual(short)
  const full = { problem: expect.stringContaining('too little disk') }
  expect(calibrationModel(cpu({ diskFreeBytes: 1e6 }))).toEqual(full)
})

test('a token reads all weights but the table of the input, and a prompt multiplies with each', () => {
  const { bytes, decodeBytesPerToken, prefillFlopPerToken } = made(cpu())
  expect(decodeBytesPerToken).toBeLessThan(bytes)
  expect(decodeBytesPerToken).toBeGreaterThan(0.95 * bytes)
  // 4.5 bits a weight, two operations each.
  expect(prefillFlopPerToken / ((bytes * 2 * 8) / 4.5)).toBeGreaterThan(0.9)
  expect(prefillFlopPerToken / ((bytes * 2 * 8) / 4.5)).toBeLessThan(1)
})

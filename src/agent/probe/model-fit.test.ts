import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Compile } from 'typebox/compile'
import { fitModel, ModelFitSchema, type ModelToFit } from './model-fit.ts'
import { shape8b } from './shape-for-tests.ts'

const gib = 1024 ** 3
const model: ModelToFit = {
  name: '8b',
  sizeBytes: shape8b.weights.reduce((sum, { bytes }) => sum + bytes, 0),
  shape: shape8b,
  contextTokens: 8_192,
  slots: 1,
}
const gpu = (gb: number, cpuGb = 32) => ({
  gpuBytes: gb * gib,
  shared: false,
  cpuBytes: cpuGb * gib,
})

test('a large card takes all of it, and more context than is wanted', () => {
  const fit = fitModel(model, gpu(24))
  expect(fit).toMatchObject({ type: 'whole', contextTokens: 8_192, haveBytes: 23.5 * gib })
  if (fit.type !== 'whole') throw new Error(fit.type)
  expect(fit.contextTokensMax).toBeGreaterThan(8_192)
  expect(fit.needBytes).toBeGreaterThan(model.sizeBytes * 0.9)
})

test('a smaller card takes some layers, and says what stays in main memory', () => {
  const fit = fitModel(model, gpu(4))
  expect(fit).toMatchObject({ type: 'partly', layers: shape8b.layers.length + 1 })
  if (fit.type !== 'partly') throw new Error(fit.type)
  expect(fit.gpuLayers).toBeLessThan(fit.layers)
  expect(fit.gpuBytes).toBeLessThanOrEqual(3.5 * gib)
  expect(fit.cpuBytes).toBeGreaterThan(gib)
})

test('with too little main memory for the rest, it does not fit', () => {
  expect(fitModel(model, gpu(4, 1))).toMatchObject({ type: 'not', haveBytes: 3.5 * gib })
})

test('the processor takes it from main memory, with the context that fits', () => {
  const room = (gb: number) => ({ shared: true, cpuBytes: gb * gib })
  expect(fitModel(model, room(32))).toMatchObject({ type: 'whole', contextTokens: 8_192 })
  const tight = fitModel(model, room(6))
  expect(tight).toMatchObject({ type: 'whole' })
  if (tight.type !== 'whole') throw new Error(tight.type)
  expect(tight.contextTokens).toBeLessThan(8_192)
  expect(fitModel(model, room(2))).toMatchObject({ type: 'not' })
})

test('a model without a header has its size alone; a device without known memory nothing', () => {
  expect(fitModel({ ...model, shape: null }, gpu(24))).toEqual({
    type: 'size_only',
    weightsBytes: model.sizeBytes,
    haveBytes: 23.5 * gib,
  })
  expect(fitModel(model, { ...gpu(24), gpuBytes: null })).toMatchObject({ type: 'unknown' })
})

test('memory that a GPU shares with the processor is not counted twice', () => {
  const shared = fitModel(model, { gpuBytes: 24 * gib, shared: true, cpuBytes: 4 * gib })
  expect(shared.type).toBe('not')
})

test('every answer is of the documented shape and never takes more than there is', () => {
  const fitCheck = Compile(ModelFitSchema)
  const memory = fc.integer({ min: 0, max: 64 * 1024 }).map(mb => mb * 1024 ** 2)
  fc.assert(
    fc.property(
      fc.option(memory),
      memory,
      fc.boolean(),
      fc.integer({ min: 1, max: 8 }),
      (gpuBytes, cpuBytes, shared, slots) => {
        const fit = fitModel({ ...model, slots }, { gpuBytes, cpuBytes, shared })
        expect(fitCheck.Check(fit)).toBe(true)
        if (fit.type === 'whole') expect(fit.needBytes).toBeLessThanOrEqual(fit.haveBytes)
        if (fit.type === 'partly') {
          expect(fit.gpuBytes).toBeLessThanOrEqual(gpuBytes ?? 0)
          expect(fit.cpuBytes + (shared ? fit.gpuBytes : 0)).toBeLessThanOrEqual(cpuBytes)
        }
      },
    ),
    { numRuns: 40 },
  )
})

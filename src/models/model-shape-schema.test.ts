import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { memoryCases } from '../../bench/memory/cases.ts'
import { readGgufHeader } from './gguf-header.ts'
import { modelShape } from './model-shape.ts'
import { ModelShapeSchema, type ModelShape } from './model-shape-schema.ts'
import { writeSyntheticGguf, type SyntheticModel } from './synthetic-gguf.ts'

const shapeCheck = Compile(ModelShapeSchema)

async function shapeOf(model: SyntheticModel): Promise<ModelShape> {
  const dir = mkdtempSync(join(tmpdir(), 'gpupool-shape-'))
  try {
    const path = join(dir, 'model.gguf')
    await writeSyntheticGguf(path, model, 'hole')
    const header = readGgufHeader(path)
    const shape = typeof header === 'string' ? header : modelShape(header)
    if (typeof shape === 'string') throw new Error(shape)
    return shape
  } finally {
    rmSync(dir, { recursive: true })
  }
}

const synthetic = memoryCases.flatMap(({ name, model }) =>
  model === null ? [] : [{ name, model }],
)

test.each(synthetic)('the shape passes as it is over the wire: $name', async ({ model }) => {
  const shape = await shapeOf(model)
  const received: unknown = JSON.parse(JSON.stringify(shape))
  expect(shapeCheck.Check(received)).toBe(true)
  expect(received).toEqual(shape)
})

test('numbers that no file could have are refused', async () => {
  const [first] = synthetic
  if (first === undefined) throw new Error('there is no case')
  const shape = await shapeOf(first.model)
  for (const wrong of [
    { vocabulary: -1 },
    { embedding: 1e9 },
    { contextTokensTrained: 1.5 },
    { weights: [{ ...shape.weights[0], bytes: Infinity }] },
  ])
    expect(shapeCheck.Check({ ...shape, ...wrong })).toBe(false)
})

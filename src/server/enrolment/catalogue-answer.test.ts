import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { model } from '../../../test/support/store-fixtures.ts'
import { readGgufHeader } from '../../models/gguf-header.ts'
import { modelShape } from '../../models/model-shape.ts'
import { CatalogueAnswerSchema } from '../../protocol/catalogue.ts'
import { limits } from '../../protocol/limits.ts'
import { catalogueAnswer } from './catalogue-answer.ts'

const answerCheck = Compile(CatalogueAnswerSchema)
const overTheWire = (answer: unknown): unknown => JSON.parse(JSON.stringify(answer))

test('a model goes with its shape where the server has it, and without where not', () => {
  const header = readGgufHeader(join(import.meta.dir, '../../../models/demo/gpupool-demo.gguf'))
  const shape = typeof header === 'string' ? header : modelShape(header)
  if (typeof shape === 'string') throw new Error(shape)
  const demo = model('demo')
  const known = { ...demo, manifest: { ...demo.manifest, shape } }
  const answer = overTheWire(catalogueAnswer([known, model('other')]))
  expect(answerCheck.Check(answer)).toBe(true)
  const models = [{ manifest: { shape: overTheWire(shape) } }, { manifest: { name: 'other' } }]
  expect(answer).toMatchObject({ models, leftOut: 0 })
})

test('a catalogue that is too long is cut, and says by how much', () => {
  const records = Array.from({ length: limits.catalogueModelsMax + 3 }, (_, at) => model(`m${at}`))
  const answer = catalogueAnswer(records)
  expect(answer).toMatchObject({ leftOut: 3 })
  expect(answerCheck.Check(answer)).toBe(true)
})

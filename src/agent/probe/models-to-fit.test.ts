import { afterEach, beforeEach, expect, test } from 'bun:test'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeModel } from '../../models/describe-model.ts'
import type { CatalogueAnswer } from '../../protocol/catalogue.ts'
import { demoModelPath } from '../demo-model.ts'
import { modelsDirOf } from '../state-dir.ts'
import { listLocalModels, modelsOfCatalogue, modelsOfFiles } from './models-to-fit.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-models-'))
  mkdirSync(modelsDirOf(dir))
})
afterEach(() => rmSync(dir, { recursive: true }))

async function demoManifest() {
  const path = demoModelPath()
  if (path === null) throw new Error('the demo model is not here')
  const described = await describeModel(path)
  if ('code' in described) throw new Error(described.message)
  return { path, manifest: { name: 'pool/demo', ...described } }
}

test('a checkout knows its demo model, once, also when the agent keeps it', async () => {
  const { path, manifest } = await demoManifest()
  expect(await listLocalModels(dir)).toEqual([{ path, sha256: manifest.sha256 }])
  const kept = join(modelsDirOf(dir), `${manifest.sha256}.gguf`)
  copyFileSync(path, kept)
  writeFileSync(join(modelsDirOf(dir), `${'a'.repeat(64)}.gguf.part`), 'half')
  expect(await listLocalModels(dir)).toEqual([{ path: kept, sha256: manifest.sha256 }])
})

test('files are described by their headers; what is no model is left out', async () => {
  const { path, manifest } = await demoManifest()
  const broken = join(modelsDirOf(dir), `${'b'.repeat(64)}.gguf`)
  writeFileSync(broken, 'no model')
  const files = [
    { path, sha256: manifest.sha256 },
    { path: broken, sha256: 'b'.repeat(64) },
  ]
  expect(modelsOfFiles(files)).toMatchObject([
    { name: 'gpupool-demo', contextTokens: 1024, slots: 1, shape: { layers: expect.any(Array) } },
  ])
})

test('of a model of the pool the server tells the shape, else the file, else nobody', async () => {
  const { path, manifest } = await demoManifest()
  const files = [{ path, sha256: manifest.sha256 }]
  const [local] = modelsOfFiles(files)
  const told = { ...local?.shape, embedding: 7 } as never
  const { shape: _, ...bare } = manifest
  const model = { manifest: bare, contextTokens: 4096, slots: 2 }
  const elsewhere = { ...bare, sha256: 'c'.repeat(64) }
  const catalogue: CatalogueAnswer = {
    models: [
      model,
      { ...model, manifest: elsewhere },
      { ...model, manifest: { ...manifest, shape: told } },
    ],
    leftOut: 0,
  }
  const [fromFile, fromNobody, fromServer] = modelsOfCatalogue(catalogue, files)
  // No slot gets more than the model was trained for.
  expect(fromFile).toMatchObject({ name: 'pool/demo', contextTokens: 1024, slots: 2 })
  expect(fromFile?.shape).toEqual(local?.shape ?? null)
  expect(fromNobody?.shape).toBeNull()
  expect(fromServer?.shape?.embedding).toBe(7)
})

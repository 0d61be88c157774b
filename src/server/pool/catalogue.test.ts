import { expect, test } from 'bun:test'
import { model } from '../../../test/support/store-fixtures.ts'
import { splitSha256 } from '../../models/split-gguf.ts'
import type { ModelRecord, Store } from '../store/store.ts'
import { Catalogue } from './catalogue.ts'

const parts = ['a', 'b'].map(letter => ({ sha256: letter.repeat(64), sizeBytes: 10 }))
const split: ModelRecord = {
  ...model('big'),
  manifest: { ...model('big').manifest, sha256: splitSha256(parts), sizeBytes: 20, parts },
  source: { kind: 'path', path: '/m/big-00001-of-00002.gguf' },
}
const whole: ModelRecord = { ...model('small'), source: { kind: 'path', path: '/m/small.gguf' } }

test('every file of the catalogue is found by its own hash, each part of a split model too', async () => {
  const store: Pick<Store, 'listModels'> = { listModels: async () => [split, whole] }
  const catalogue = new Catalogue(store)
  await catalogue.reload()
  expect(catalogue.pathOf(whole.manifest.sha256)).toBe('/m/small.gguf')
  expect(catalogue.pathOf('a'.repeat(64))).toBe('/m/big-00001-of-00002.gguf')
  expect(catalogue.pathOf('b'.repeat(64))).toBe('/m/big-00002-of-00002.gguf')
  // All parts together are no file.
  expect(catalogue.pathOf(split.manifest.sha256)).toBeUndefined()
  expect(catalogue.pathOf('c'.repeat(64))).toBeUndefined()
})

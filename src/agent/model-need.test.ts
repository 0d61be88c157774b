import { expect, test } from 'bun:test'
import type { Load } from '../protocol/server-message.ts'
import { newInstanceId } from '../protocol/ids.ts'
import { needWithoutGpuBytes } from './model-need.ts'

const demoPath = new URL('../../models/demo/gpupool-demo.gguf', import.meta.url).pathname

const load = (change: Partial<Load> = {}): Load => ({
  type: 'load',
  instanceId: newInstanceId(),
  manifest: {
    name: 'demo',
    sha256: 'a'.repeat(64),
    sizeBytes: 5_336_512,
    architecture: 'llama',
    quantisation: 'Q8_0',
    contextTokensTrained: 1024,
    chatTemplateSha256: null,
  },
  sources: [{ kind: 'path', path: demoPath }],
  contextTokens: 1024,
  slots: 4,
  ...change,
})

test('the need is more than the file and grows with slots and context', () => {
  const need = (change: Partial<Load> = {}) => needWithoutGpuBytes(demoPath, load(change)) ?? 0
  expect(need()).toBeGreaterThan(5_336_512)
  expect(need({ slots: 8 })).toBeGreaterThan(need())
  expect(need({ contextTokens: 512 })).toBeLessThan(need())
  expect(need({ contextTokens: 8192 })).toBe(need())
})

test('a file that is no model has no need that could be told', () => {
  expect(needWithoutGpuBytes(import.meta.path, load())).toBeNull()
})

import { expect, test } from 'bun:test'
import {
  externalModelSha256,
  formatExternalSource,
  isOffered,
  parseExternalSource,
  type ExternalModel,
} from './external-model.ts'

const fingerprint = 'f'.repeat(64)
const offer: ExternalModel = {
  modelId: 'a:1',
  engine: 'vllm',
  fingerprint,
  contextTokens: null,
}

test('what an operator writes is read and written back', () => {
  for (const text of [
    'external:llama3.1:8b',
    'external:org/model',
    'external:C:\\models\\my model.gguf',
    `external:llama3.1:8b#${fingerprint}`,
  ]) {
    const source = parseExternalSource(text)
    expect(source && formatExternalSource(source)).toBe(text)
  }
})

test('anything else is none', () => {
  for (const text of [
    '',
    'external:',
    'external: a',
    'external:a#',
    'external:a#beef',
    `external:${'a'.repeat(257)}`,
    '/models/a.gguf',
  ])
    expect(parseExternalSource(text)).toBeNull()
})

test('an offer counts by its id, and by its fingerprint where the operator wants one', () => {
  expect(isOffered({ modelId: 'a:1', fingerprint: null }, [offer])).toBe(true)
  expect(isOffered({ modelId: 'a:1', fingerprint }, [offer])).toBe(true)
  expect(isOffered({ modelId: 'a:1', fingerprint: 'e'.repeat(64) }, [offer])).toBe(false)
  expect(isOffered({ modelId: 'a', fingerprint: null }, [offer])).toBe(false)
})

test('each identity has a hash of its own', () => {
  const hashes = [
    { modelId: 'a', fingerprint: null },
    { modelId: 'a', fingerprint },
    { modelId: `a#${fingerprint}`, fingerprint: null },
  ].map(externalModelSha256)
  expect(new Set(hashes).size).toBe(3)
})

import { expect, test } from 'bun:test'
import {
  agentId,
  gpu,
  inventoryOf,
  leasesOf,
  Pool,
  refusalOf,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import {
  externalModelSha256,
  type ExternalModel,
  type ExternalSource,
} from '../models/external-model.ts'
import type { ModelFacts } from './event.ts'

const source: ExternalSource = { kind: 'external', modelId: 'llama3.1:8b', fingerprint: null }
const offer: ExternalModel = {
  modelId: 'llama3.1:8b',
  engine: 'ollama',
  fingerprint: 'f'.repeat(64),
  contextTokens: null,
}
const factsOf = (external: ExternalSource): ModelFacts => ({
  ...tiny,
  name: 'tiny',
  sha256: externalModelSha256(external),
  sizeBytes: 0,
  slots: 1,
  external,
})

test('an external model goes only to an agent whose owner’s engine offers it', () => {
  const pool = new Pool([factsOf(source)])
  pool.up('a')
  expect(refusalOf(pool.request('1'))?.message).toContain(
    '1 × no engine of its owner serves it now',
  )
  pool.up('b', { externalModels: [offer] })
  expect(leasesOf(pool.request('2'))).toEqual(['2@b'])
})

test('one that is pinned goes only to an engine that says exactly that of it', () => {
  const pool = new Pool([factsOf({ ...source, fingerprint: 'f'.repeat(64) })])
  pool.up('a', { externalModels: [{ ...offer, fingerprint: 'e'.repeat(64) }] })
  expect(pool.request('1').map(({ type }) => type)).toEqual(['refuse'])
  pool.up('b', { externalModels: [offer] })
  expect(leasesOf(pool.request('2'))).toEqual(['2@b'])
})

test('an engine that stops offering gets nothing new, and is asked at once when it is back', () => {
  const pool = new Pool([factsOf(source)])
  pool.up('a', { externalModels: [offer] })
  const [load] = pool.request('1')
  const instanceId = load?.type === 'load' ? load.instanceId : undefined
  if (instanceId === undefined) throw new Error('a load was expected')
  pool.handle({
    type: 'instance',
    agentId: agentId('a'),
    instanceId,
    modelSha256: externalModelSha256(source),
    status: { state: 'failed', error: { code: 'model_load_failed', message: 'it is down' } },
  })
  expect(refusalOf(pool.request('2'))?.message).toContain('could not load it (it is down)')
  pool.handle({ type: 'external_models', agentId: agentId('a'), models: [] })
  expect(refusalOf(pool.request('3'))?.message).toContain('no engine of its owner')
  pool.handle({ type: 'external_models', agentId: agentId('a'), models: [offer] })
  expect(leasesOf(pool.request('4'))).toEqual(['4@a'])
})

test('a card that may not serve does not concern an engine that the owner runs', () => {
  const pool = new Pool([factsOf(source)])
  pool.up('a', {
    externalModels: [offer],
    inventory: inventoryOf([gpu({ computeCapability: '3.0' })]),
  })
  expect(pool.request('1')).toContainEqual(
    expect.objectContaining({ type: 'load', withoutGpu: false }),
  )
})

import { expect, test } from 'bun:test'
import { leasesOf, Pool, refusalOf, spare, tiny } from '../../test/support/scheduler-pool.ts'
import type { ModelFacts } from './event.ts'

const embedder: ModelFacts = {
  ...tiny,
  name: 'embedder',
  sha256: 'e'.repeat(64),
  kind: 'embedding',
}
const reranker: ModelFacts = { ...tiny, name: 'reranker', sha256: 'f'.repeat(64), kind: 'rerank' }

function poolWith(features: Record<string, readonly string[]>): Pool {
  const pool = new Pool()
  pool.handle({ type: 'catalogue', models: [tiny, embedder, reranker] })
  for (const [name, listed] of Object.entries(features)) pool.up(name, { features: listed })
  return pool
}

test('a model goes only to agents that listed what it is for', () => {
  const pool = poolWith({ old: [], half: ['embeddings'], whole: ['embeddings', 'rerank'] })
  expect(leasesOf(pool.request('1', 'reranker'))).toEqual(['1@whole'])
  expect(leasesOf(pool.request('2', 'embedder'))).toEqual(['2@half'])
})

test('where all are older, the refusal says so, and chats go on', () => {
  const pool = poolWith({ old: ['frames'] })
  expect(refusalOf(pool.request('1', 'embedder'))?.message).toContain(
    '1 × does not do embeddings; its version is older',
  )
  expect(refusalOf(pool.request('2', 'reranker'))?.message).toContain(
    '1 × does not rerank; its version is older',
  )
  expect(leasesOf(pool.request('3', 'tiny'))).toEqual(['3@old'])
})

test('an operator’s wish to load it everywhere leaves older agents out', () => {
  const pool = poolWith({ old: [], new: ['embeddings'] })
  const commands = pool.handle({
    type: 'load_model',
    model: 'embedder',
    agentId: null,
    spareInstanceIds: [spare('i-1'), spare('i-2')],
  })
  expect(commands).toMatchObject([
    { type: 'load', agentId: 'new' },
    { type: 'order', agentId: 'new' },
  ])
})

test('a job goes only to agents that listed what it needs, also when it moves', () => {
  const pool = poolWith({ old: ['frames'], new: ['frames', 'sampling'], other: ['sampling'] })
  const [first = ''] = leasesOf(pool.request('1', 'tiny', ['sampling']))
  expect(['1@new', '1@other']).toContain(first)
  const [second = ''] = leasesOf(pool.retry('1'))
  expect(['1@new', '1@other'].filter(lease => lease !== first)).toEqual([second])
  expect(refusalOf(pool.retry('1'))?.message).toContain('does not know these sampling options')
})

test('where all agents are older, such a job is refused and says why, and others are served', () => {
  const pool = poolWith({ old: ['frames'] })
  expect(refusalOf(pool.request('1', 'tiny', ['sampling']))?.message).toContain(
    '1 × does not know these sampling options; its version is older',
  )
  expect(leasesOf(pool.request('2', 'tiny'))).toEqual(['2@old'])
})

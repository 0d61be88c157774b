import { describe, expect, test } from 'bun:test'
import {
  agentId,
  gpu,
  inventoryOf,
  leasesOf,
  Pool,
  ready,
  spare,
  tiny,
} from '../../test/support/scheduler-pool.ts'
import { prefixEntriesMax, PrefixAffinity, type PromptPrefix } from './prefix-affinity.ts'
import type { Instance } from './agent.ts'

const inventory = inventoryOf([gpu()])
/** A conversation of so many turns: hashes that no other one has, 500 tokens each. */
const conversation = (id: number, turns: number): readonly PromptPrefix[] =>
  Array.from({ length: turns }, (_, turn) => ({
    hash: id * 1_000 + turn,
    tokens: 500 * (turn + 1),
  }))

function poolOf(names: readonly string[], slots = 4): Pool {
  const pool = new Pool()
  for (const name of names)
    pool.up(name, { instances: [ready(`i-${name}`, tiny, slots)], inventory })
  return pool
}
const ask = (pool: Pool, job: string, prefixes: readonly PromptPrefix[]) =>
  leasesOf(pool.request(job, 'tiny', [], { prefixes }))
/** Has `b` serve the first turn of conversation 1. */
function firstTurnOnB(pool: Pool): void {
  pool.request('blocker')
  expect(ask(pool, 'first', conversation(1, 1))).toEqual(['first@b'])
  pool.release('first')
  pool.release('blocker')
}

describe('the next turn of a conversation', () => {
  test('goes to the agent that holds its KV cache, though another one would be first', () => {
    const pool = poolOf(['a', 'b', 'c'])
    firstTurnOnB(pool)
    expect(ask(pool, 'other', conversation(2, 1))).toEqual(['other@a'])
    pool.release('other')
    expect(ask(pool, 'next', conversation(1, 3))).toEqual(['next@b'])
  })

  test('goes elsewhere when what is saved is less than what the agent is busy with', () => {
    const pool = poolOf(['a', 'b'], 8)
    firstTurnOnB(pool)
    for (let i = 0; i < 6; i++) pool.request(`x${i}`)
    const three = ['x0', 'x2', 'x4']
    for (const job of three) pool.release(job)
    expect(ask(pool, 'next', conversation(1, 2))).toEqual(['next@a'])
  })

  test('goes elsewhere when no slot is free there', () => {
    const pool = poolOf(['a', 'b'], 1)
    firstTurnOnB(pool)
    pool.request('x0')
    pool.request('x1')
    pool.release('x0')
    expect(ask(pool, 'next', conversation(1, 2))).toEqual(['next@a'])
  })

  test('is not drawn to a lesser machine', () => {
    const pool = poolOf(['b'])
    expect(ask(pool, 'first', conversation(1, 1))).toEqual(['first@b'])
    pool.release('first')
    const slowed = { stopped: null, slowed: true, unfitGpus: {} }
    pool.handle({ type: 'health', agentId: agentId('b'), health: slowed })
    pool.up('a', { instances: [ready('i-a')], inventory })
    expect(ask(pool, 'next', conversation(1, 8))).toEqual(['next@a'])
  })

  test('is no reason to ask an agent again that has failed, not even one failure of another job', () => {
    const pool = poolOf(['a', 'b'])
    firstTurnOnB(pool)
    pool.request('x0')
    expect(leasesOf(pool.request('x1'))).toEqual(['x1@b'])
    pool.retry('x1')
    for (const job of ['x0', 'x1']) pool.release(job)
    expect(ask(pool, 'next', conversation(1, 3))).toEqual(['next@a'])
  })

  test('is no reason either when the failure was the end of the job', () => {
    const pool = poolOf(['a', 'b'])
    firstTurnOnB(pool)
    pool.request('x0')
    expect(leasesOf(pool.request('x1'))).toEqual(['x1@b'])
    pool.release('x1', true)
    pool.release('x0')
    expect(ask(pool, 'next', conversation(1, 3))).toEqual(['next@a'])
  })

  test('is forgotten with the instance', () => {
    const pool = poolOf(['a', 'b'])
    firstTurnOnB(pool)
    pool.handle({ type: 'agent_down', agentId: agentId('b') })
    pool.up('b', { instances: [ready('i-b', tiny, 4)], inventory })
    expect(ask(pool, 'next', conversation(1, 3))).toEqual(['next@a'])
  })

  test('is forgotten once as many other conversations have begun there as it has slots', () => {
    const pool = poolOf(['a', 'b'], 2)
    firstTurnOnB(pool)
    pool.handle({ type: 'admin_state', agentId: agentId('a'), adminState: 'draining' })
    for (const other of [2, 3]) {
      expect(ask(pool, `c${other}`, conversation(other, 1))).toEqual([`c${other}@b`])
      pool.release(`c${other}`)
    }
    pool.handle({ type: 'admin_state', agentId: agentId('a'), adminState: 'active' })
    expect(ask(pool, 'next', conversation(1, 3))).toEqual(['next@a'])
    pool.release('next')
    expect(ask(pool, 'youngest', conversation(3, 2))).toEqual(['youngest@b'])
  })
})

test('the table is bounded: the oldest entries go', () => {
  const table = new PrefixAffinity()
  const instance: Instance = {
    id: spare('i'),
    agentId: agentId('a'),
    modelSha256: tiny.sha256,
    contextTokens: 1_024,
    withoutGpu: false,
    status: { state: 'loading', progress: null },
    slots: Infinity,
    leaving: false,
    leases: new Set(),
    conversations: 0,
  }
  for (let hash = 1; hash <= 2 * prefixEntriesMax; hash++)
    table.keep(instance, { prefixes: [{ hash, tokens: 1 }], continuedTokens: 0 })
  const known = (hash: number) => table.longest([{ hash, tokens: 1 }]) !== undefined
  let old = 0
  let young = 0
  for (let hash = 1; hash <= prefixEntriesMax; hash++) {
    old += Number(known(hash))
    young += Number(known(hash + prefixEntriesMax))
  }
  expect([old, young]).toEqual([0, prefixEntriesMax])
})

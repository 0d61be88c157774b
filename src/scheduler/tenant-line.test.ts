import { describe, expect, test } from 'bun:test'
import { numbers, waiting } from '../../test/support/waiting.ts'
import { accountsRememberedMax, TenantLine } from './tenant-line.ts'
import type { Waiting } from './waiting.ts'

const noLane = new Set<string>()

/** Lets the next one begin. */
function begin(line: TenantLine): Waiting {
  const next = line.next(noLane)
  if (next === undefined) throw new Error('nobody waits')
  line.begun(next.tenant, next.costTokens)
  line.leave(next)
  return next
}

const beginAll = (line: TenantLine): readonly string[] =>
  Array.from({ length: line.length }, () => begin(line).jobId as string)

describe('taking turns', () => {
  test('one who asks for little goes before the rest of one who asks for much', () => {
    const line = new TenantLine()
    for (const job of ['a1', 'a2', 'a3']) line.enter(waiting(job, { tenant: 'a' }))
    line.enter(waiting('b1', { tenant: 'b' }))
    expect(beginAll(line)).toEqual(['a1', 'b1', 'a2', 'a3'])
  })

  test('is by tokens and not by requests', () => {
    const line = new TenantLine()
    for (const job of ['a1', 'a2']) line.enter(waiting(job, { tenant: 'a', costTokens: 300 }))
    for (const job of ['b1', 'b2', 'b3', 'b4'])
      line.enter(waiting(job, { tenant: 'b', costTokens: 100 }))
    expect(beginAll(line)).toEqual(['a1', 'b1', 'b2', 'b3', 'a2', 'b4'])
  })

  test('a tenant that already runs something goes after one that has nothing yet', () => {
    const line = new TenantLine()
    line.begun('a', 100)
    line.enter(waiting('a1', { tenant: 'a' }))
    line.enter(waiting('b1', { tenant: 'b' }))
    expect(beginAll(line)).toEqual(['b1', 'a1'])
  })

  test('what a request cost more or less than expected counts from its end', () => {
    const line = new TenantLine()
    for (const job of ['a1', 'a2']) line.enter(waiting(job, { tenant: 'a' }))
    for (const job of ['b1', 'b2', 'b3', 'b4']) line.enter(waiting(job, { tenant: 'b' }))
    expect([begin(line).jobId, begin(line).jobId] as string[]).toEqual(['a1', 'b1'])
    line.ended('a', 150)
    expect(beginAll(line)).toEqual(['b2', 'b3', 'a2', 'b4'])
  })

  test('nobody saves up turns while away', () => {
    const line = new TenantLine()
    line.enter(waiting('b0', { tenant: 'b' }))
    begin(line)
    for (let i = 0; i < 20; i++) line.enter(waiting(`a${i}`, { tenant: 'a' }))
    for (let i = 0; i < 10; i++) begin(line)
    for (let i = 1; i <= 4; i++) line.enter(waiting(`b${i}`, { tenant: 'b' }))
    const order = beginAll(line).slice(0, 8)
    expect(order.filter(job => job.startsWith('a'))).toHaveLength(4)
  })

  test('of two that wait all the time neither gets more than two of the largest requests ahead', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = numbers(seed)
      const line = new TenantLine()
      const had = new Map([
        ['a', 0],
        ['b', 0],
      ])
      let job = 0
      const enter = (tenant: string) =>
        line.enter(waiting(`${job++}`, { tenant, costTokens: 1 + random(1_000) }))
      for (const tenant of had.keys()) for (let i = 0; i < 3; i++) enter(tenant)
      for (let i = 0; i < 300; i++) {
        const { tenant, costTokens } = begin(line)
        had.set(tenant, (had.get(tenant) ?? 0) + costTokens)
        enter(tenant)
        expect(Math.abs((had.get('a') ?? 0) - (had.get('b') ?? 0))).toBeLessThanOrEqual(2_000)
      }
    }
  })

  test('a lane without room is passed over, also where a tenant’s first request is in it', () => {
    const line = new TenantLine()
    line.enter(waiting('a1', { tenant: 'a', lane: 'sampling' }))
    line.enter(waiting('a2', { tenant: 'a' }))
    expect(line.next(new Set(['sampling']))?.jobId as string).toBe('a2')
    expect(line.next(new Set(['sampling', '']))).toBeUndefined()
    expect(line.next(noLane)?.jobId as string).toBe('a1')
  })
})

test('the order is told as it comes to be when nobody else comes', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = numbers(seed)
    const line = new TenantLine()
    for (let i = 0; i < 100; i++) {
      const lane = random(3) === 0 ? 'sampling' : ''
      const costTokens = 100 * random(5)
      line.enter(waiting(`${i}`, { tenant: `${random(7)}`, costTokens, lane }))
      if (random(4) === 0) begin(line)
    }
    const told = line.order().map(({ jobId }) => jobId as string)
    expect(beginAll(line)).toEqual(told)
  }
})

describe('what is remembered', () => {
  test('is nothing once nobody waits or runs', () => {
    const line = new TenantLine()
    for (let i = 0; i < 50; i++) line.enter(waiting(`${i}`, { tenant: `${i % 9}` }))
    for (let i = 0; i < 50; i++) line.ended(begin(line).tenant, i)
    expect(line.accountsHeld).toBe(0)
  })

  test('is bounded, however many tenants have had something while one waits', () => {
    const line = new TenantLine()
    line.enter(waiting('patient', { tenant: 'patient' }))
    const tenants = accountsRememberedMax + 50
    for (let i = 0; i < tenants; i++) {
      line.begun(`${i}`, 100)
      line.ended(`${i}`, 0)
    }
    expect(line.accountsHeld).toBe(accountsRememberedMax + 1)
  })
})

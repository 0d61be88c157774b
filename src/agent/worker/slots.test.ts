import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { commonPrefix, Slots } from './slots.ts'

const piece = 4
const ids = (text: string): number[] => [...Buffer.from(text)]

/** Runs a whole job. @returns where, and how much was there already */
function run(slots: Slots, tenant: string | null, text: string) {
  const taken = slots.take(tenant, ids(text))
  slots.release(taken.slot, tenant, ids(text))
  return taken
}

describe('the next turn', () => {
  test('goes where the last one was and shares its whole pieces', () => {
    const slots = new Slots(3, piece)
    const first = run(slots, 'a', 'system one two')
    const other = run(slots, 'a', 'else')
    expect(other.slot).not.toBe(first.slot)
    expect(run(slots, 'a', 'system one two three four')).toEqual({
      slot: first.slot,
      cachedTokens: 12,
    })
  })

  test('computes at least its last token', () => {
    const slots = new Slots(1, piece)
    run(slots, 'a', '12345678')
    expect(run(slots, 'a', '12345678').cachedTokens).toBe(4)
  })

  test('shares only what was computed', () => {
    const slots = new Slots(1, piece)
    const { slot } = slots.take('a', ids('12345678901'))
    slots.release(slot, 'a', ids('123456'))
    expect(run(slots, 'a', '12345678901').cachedTokens).toBe(4)
  })
})

describe('a slot is chosen', () => {
  test('empty before one that holds another conversation, even when that begins a little alike', () => {
    const slots = new Slots(2, piece)
    const long = run(slots, 'a', 'sys.conversation number one')
    const other = run(slots, 'a', 'sys.other')
    expect(other).toEqual({ slot: 1 - long.slot, cachedTokens: 0 })
  })

  test('that shares a little before one that shares nothing, when all are in use', () => {
    const slots = new Slots(2, piece)
    const one = run(slots, 'a', 'sys.conversation number one')
    run(slots, 'a', 'nothing alike')
    expect(run(slots, 'a', 'sys.other')).toEqual({ slot: one.slot, cachedTokens: 4 })
  })

  test('beside the running ones, so that they are computed in one pass', () => {
    const slots = new Slots(8, piece)
    const taken = ['aaaa', 'bbbb', 'cccc', 'dddd'].map(text => slots.take('a', ids(text)).slot)
    expect(taken).toEqual([0, 1, 2, 3])
    slots.release(1, 'a', ids('bbbb'))
    expect(slots.take('b', ids('eeee'))).toEqual({ slot: 1, cachedTokens: 0 })
  })

  test('the one that rested longest, when nothing is shared', () => {
    const slots = new Slots(3, piece)
    const order = ['aaaa', 'bbbb', 'cccc'].map(text => run(slots, 'a', text).slot)
    run(slots, 'a', 'aaaa-')
    expect(run(slots, 'a', 'dddd').slot).toBe(order[1] ?? -1)
  })
})

describe('tenants', () => {
  test('never share, nor do jobs without one', () => {
    const slots = new Slots(1, piece)
    run(slots, 'a', 'the same long prompt')
    expect(run(slots, 'b', 'the same long prompt').cachedTokens).toBe(0)
    expect(run(slots, 'a', 'the same long prompt').cachedTokens).toBe(0)
    expect(run(slots, null, 'the same long prompt').cachedTokens).toBe(0)
    expect(run(slots, null, 'the same long prompt').cachedTokens).toBe(0)
  })
})

test('whatever runs: no slot twice, and only what the same tenant computed last in that slot is shared', () => {
  const job = fc.record({
    tenant: fc.constantFrom('a', 'b', null),
    prompt: fc.array(fc.constantFrom(1, 2), { minLength: 1, maxLength: 20 }),
    computed: fc.nat(20),
    stays: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(job, { maxLength: 40 }), (count, jobs) => {
      const slots = new Slots(count, piece)
      const held = new Map<number, { tenant: string | null; prompt: readonly number[] }>()
      const running: { slot: number; job: (typeof jobs)[number] }[] = []
      const end = () => {
        const ended = running.shift()
        if (ended === undefined) return
        const {
          slot,
          job: { tenant, prompt, computed },
        } = ended
        slots.release(slot, tenant, prompt.slice(0, computed))
        held.set(slot, { tenant, prompt: prompt.slice(0, computed) })
      }
      for (const next of jobs) {
        if (running.length === count) end()
        const { slot, cachedTokens } = slots.take(next.tenant, next.prompt)
        expect(running.some(one => one.slot === slot)).toBe(false)
        if (cachedTokens > 0) {
          const before = held.get(slot)
          expect(before?.tenant).toBe(next.tenant as string)
          expect(cachedTokens % piece).toBe(0)
          expect(cachedTokens).toBeLessThan(next.prompt.length)
          expect(commonPrefix(before?.prompt ?? [], next.prompt, cachedTokens)).toBe(cachedTokens)
        }
        running.push({ slot, job: next })
        if (!next.stays) end()
      }
    }),
  )
})

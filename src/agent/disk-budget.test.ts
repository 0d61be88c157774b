import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { chooseEvictions, defaultBudgetBytes, parseDiskGb, type KeptFile } from './disk-budget.ts'

const file: fc.Arbitrary<KeptFile> = fc.record({
  path: fc.uuid(),
  sizeBytes: fc.integer({ min: 0, max: 1_000 }),
  lastUsedAt: fc.integer({ min: 0, max: 50 }),
  inUse: fc.boolean(),
  own: fc.boolean(),
})
const sum = (files: readonly KeptFile[]) => files.reduce((all, one) => all + one.sizeBytes, 0)

test('what makes way is enough, the longest unused, never in use, and the agent’s own', () => {
  fc.assert(
    fc.property(fc.array(file), fc.integer({ min: -100, max: 5_000 }), (files, missing) => {
      const removable = files.filter(({ own, inUse }) => own && !inUse)
      const chosen = chooseEvictions(files, missing)
      if (chosen === null) {
        expect(sum(removable)).toBeLessThan(missing)
        return
      }
      expect(sum(chosen)).toBeGreaterThanOrEqual(missing)
      for (const one of chosen) expect(removable).toContain(one)
      const latest = Math.max(...chosen.map(one => one.lastUsedAt))
      for (const kept of removable.filter(one => !chosen.includes(one)))
        expect(kept.lastUsedAt).toBeGreaterThanOrEqual(chosen.length === 0 ? 0 : latest)
      // One less would not have been enough.
      if (chosen.length > 0) expect(sum(chosen.slice(0, -1))).toBeLessThan(missing)
    }),
  )
})

test('the budget is what the owner says, in gigabytes, or a share of the disk', () => {
  expect(parseDiskGb(undefined)).toBeNull()
  expect(parseDiskGb('')).toBeNull()
  expect(parseDiskGb('1.5')).toBe(1.5 * 1024 ** 3)
  for (const wrong of ['0', '-1', 'all', '1e3', '10 GB']) expect(parseDiskGb(wrong)).toBeString()
  expect(defaultBudgetBytes(900, 100)).toBe(800)
})

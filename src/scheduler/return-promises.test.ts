import { expect, test } from 'bun:test'
import { jobId } from '../../test/support/scheduler-pool.ts'
import { waiting } from '../../test/support/waiting.ts'
import { FairQueue, waitingLengthMax } from './fair-queue.ts'
import { promisedTenantsMax, ReturnPromises } from './return-promises.ts'
import { WaitEstimates } from './wait-estimates.ts'

/** A full line of as many tenants, and one slot, just taken, that is held for 10 s. */
function fullLine(): ReturnPromises {
  const queue = new FairQueue()
  for (let i = 0; i < waitingLengthMax; i++) queue.enter(waiting(`${i}`, { tenant: `${i}` }))
  const estimates = new WaitEstimates()
  estimates.began('tiny', jobId('measured'), -10_000)
  estimates.ended('tiny', jobId('measured'), 0)
  estimates.began('tiny', jobId('running'), 0)
  return new ReturnPromises(queue, estimates)
}

const asker = (tenant: string) => ({ tenant, priority: 'normal' as const })

test('each refused request of a tenant is told a later time, until they should be back', () => {
  const promises = fullLine()
  const told = Array.from({ length: 3 }, () => promises.promise('tiny', asker('new'), 0))
  // One that is back by then has taken room and made the tenant's part larger, so the next one needs two starts more.
  expect(told).toEqual([10_000, 30_000, 50_000])
  expect(promises.promise('tiny', asker('other'), 0)).toBe(10_000)
  expect(promises.promise('tiny', asker('new'), 50_000)).toBe(2_500)
})

test('of how many tenants it is known that they will be back is bounded', () => {
  const promises = fullLine()
  for (let i = 0; i < promisedTenantsMax + 20; i++) promises.promise('tiny', asker(`n${i}`), 0)
  expect(promises.tenantsHeld).toBe(promisedTenantsMax)
})

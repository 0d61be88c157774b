import { expect, test } from 'bun:test'
import { createSystemProbe } from './system-probe.ts'

test('this machine can be probed, and its readings match its inventory', async () => {
  const probe = createSystemProbe()
  const { gpus } = await probe.inventory()
  const readings = await probe.readings()
  expect(readings.map(reading => reading.id)).toEqual(gpus.map(found => found.id))
})

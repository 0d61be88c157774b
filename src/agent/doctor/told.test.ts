import { expect, test } from 'bun:test'
import { ManualTime } from '../../../test/support/manual-time.ts'
import { says } from './finding.ts'
import { judged, within } from './told.ts'

const timed = () => {
  const time = new ManualTime(0)
  return { time, timers: { after: time.startTimer } }
}
const judge = (facts: string) => [says('disk').ok(facts)]

test('facts that come in time are judged, and no timer is left', async () => {
  const { time, timers } = timed()
  const told = await within(timers, 1_000, async () => 'well')
  expect(judged('disk', told, judge)).toEqual([says('disk').ok('well')])
  expect(time.timersRunning).toBe(0)
})

test('facts that never come are a failure at the deadline, and name what hangs', async () => {
  const { time, timers } = timed()
  const waiting = within(timers, 1_000, () => new Promise<string>(() => {}))
  time.advance(1_000)
  expect(judged('disk', await waiting, judge)).toEqual([
    {
      check: 'disk',
      status: 'failing',
      text: 'no answer within 1 s',
      todo: expect.stringContaining('file system hangs'),
    },
  ])
})

test('a check that breaks is a failure with its reason', async () => {
  const told = await within(timed().timers, 1_000, () => Promise.reject(new Error('no such bus')))
  expect(judged('disk', told, judge)[0]).toMatchObject({
    status: 'failing',
    text: 'could not be looked at: no such bus',
  })
})

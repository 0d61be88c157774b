import { expect, test } from 'bun:test'
import { newAgentId } from '../../protocol/ids.ts'
import { offlineToldMs, OfflineWatch } from './offline-watch.ts'

const now = 1_000_000
const id = newAgentId()

test('who stays away for a day is told once, and that it is back', () => {
  const watch = new OfflineWatch()
  watch.left(id, 'den', now, now)
  expect(watch.overdue(now + offlineToldMs - 1)).toEqual([])
  expect(watch.overdue(now + offlineToldMs)).toEqual([{ id, name: 'den', since: now }])
  expect(watch.overdue(now + 2 * offlineToldMs)).toEqual([])
  expect(watch.came(id, now + 3 * offlineToldMs)).toBe(3 * offlineToldMs)
  expect(watch.came(id, now + 3 * offlineToldMs)).toBeNull()
})

test('who is back sooner, or is not expected any more, is not told', () => {
  const watch = new OfflineWatch()
  watch.left(id, 'den', now, now)
  expect(watch.came(id, now + 1)).toBeNull()
  watch.left(id, 'den', now, now)
  watch.forget(id)
  expect(watch.overdue(now + 2 * offlineToldMs)).toEqual([])
})

test('who had been away for long when this server began was told by the one before', () => {
  const watch = new OfflineWatch()
  watch.left(id, 'den', now, now + offlineToldMs)
  expect(watch.overdue(now + 2 * offlineToldMs)).toEqual([])
  watch.left(id, 'den', now, now + offlineToldMs - 1)
  expect(watch.overdue(now + offlineToldMs)).toHaveLength(1)
})

test('who is missing keeps its name', () => {
  const watch = new OfflineWatch()
  expect(watch.nameOf(id)).toBeUndefined()
  watch.left(id, 'den', now, now)
  expect(watch.nameOf(id)).toBe('den')
})

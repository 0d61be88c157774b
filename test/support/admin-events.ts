import type { AdminEvent } from '../../src/server/notify/admin-event.ts'
import { start } from './store-fixtures.ts'

/** What the operator is told, with only what a test cares about changed. */
export const adminEvent = (change: Partial<AdminEvent> = {}): AdminEvent => ({
  type: 'model_failed',
  severity: 'warning',
  at: start,
  agentId: null,
  agentName: null,
  model: 'tiny',
  text: 'the file is damaged',
  times: 1,
  ...change,
})

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { limits } from '../protocol/limits.ts'
import type { ServerMessage } from '../protocol/server-message.ts'
import type { ConnectionCommand, ConnectionEvent } from './connection-event.ts'
import { Connection } from './connection.ts'

const challenge: ServerMessage = {
  type: 'challenge',
  nonce: 'bm9uY2U=',
  versions: [1],
  features: [],
}
const welcome: ServerMessage = {
  type: 'welcome',
  version: 1,
  features: [],
  heartbeatIntervalMs: 30_000,
  name: 'desk',
  adminState: 'active',
}
const cancel: ServerMessage = { type: 'cancel', stream: 1, attempt: 0 }

describe('whatever happens', () => {
  type Step = { act: string; advanceMs: number; random: number }
  const acts = [
    'opened',
    'closed',
    'stale_close',
    'challenge',
    'welcome',
    'ack',
    'restarting',
    'refused_later',
    'upgrade',
    'invalid',
    'unknown',
    'cancel',
    'tick',
    'due',
    'woke',
    'say',
  ]
  const step: fc.Arbitrary<Step> = fc.record({
    act: fc.constantFrom(...acts),
    advanceMs: fc.integer({ min: 0, max: 90_000 }),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  })

  const eventOf = (act: string, socket: number): ConnectionEvent => {
    const received = (what: Extract<ConnectionEvent, { type: 'received' }>['what']) =>
      ({ type: 'received', socket, what }) as const
    switch (act) {
      case 'opened':
        return { type: 'socket_opened', socket }
      case 'closed':
        return { type: 'socket_closed', socket, reason: 'x' }
      case 'stale_close':
        return { type: 'socket_closed', socket: socket - 1, reason: 'x' }
      case 'challenge':
        return received(challenge)
      case 'welcome':
        return received(welcome)
      case 'ack':
        return received({ type: 'heartbeat_ack', sequence: 1 })
      case 'restarting':
        return received({ type: 'restarting', reconnectAfterMinMs: 500, reconnectAfterMaxMs: 100 })
      case 'refused_later':
        return received({
          type: 'refused',
          error: { code: 'internal', message: 'x' },
          retryAfterMs: 5_000,
        })
      case 'upgrade':
        return received({
          type: 'refused',
          error: { code: 'upgrade_required', message: 'x' },
          retryAfterMs: null,
        })
      case 'invalid':
        return received({ type: 'refusal', reason: 'invalid', detail: 'x' })
      case 'unknown':
        return received({ type: 'refusal', reason: 'unknown_type', detail: 'x' })
      case 'cancel':
        return received(cancel)
      case 'woke':
        return { type: 'woke' }
      case 'say':
        return { type: 'say', message: { type: 'error', error: { code: 'x', message: 'x' } } }
      default:
        return { type: 'tick' }
    }
  }

  test('there is one socket at most, nothing but hello is sent before welcome, and every delay is bounded', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const connection = new Connection()
        let now = 0
        let socket = 0
        let open = false
        let online = false
        const perform = (commands: readonly ConnectionCommand[]) => {
          for (const command of commands) {
            if (command.type === 'open_socket') {
              expect(open).toBe(false)
              expect(command.socket).toBe(socket + 1)
              socket = command.socket
              open = true
            }
            if (command.type === 'close_socket') {
              expect(open && command.socket === socket).toBe(true)
              open = false
            }
            if (command.type === 'online') online = true
            if (command.type === 'offline') online = false
            if (command.type === 'send' || command.type === 'send_heartbeat')
              expect(online && open).toBe(true)
            if (command.type === 'send_hello') expect(open && !online).toBe(true)
            if (command.type === 'retry') {
              expect(open).toBe(false)
              expect(command.at - now).toBeGreaterThanOrEqual(500)
              expect(command.at - now).toBeLessThanOrEqual(limits.upgradeRetryMs * 1.3)
            }
          }
        }
        perform(connection.handle({ type: 'start' }, now, 0))
        for (const { act, advanceMs, random } of steps) {
          now += act === 'due' ? Math.max(0, (connection.dueAt ?? now) - now) : advanceMs
          if (act === 'closed') {
            if (!open) continue
            open = false
          }
          if (act === 'opened' && !open) continue
          perform(connection.handle(eventOf(act, socket), now, random))
          expect(connection.onlineSocket !== undefined).toBe(online)
          expect('socket' in connection.state).toBe(open)
          expect(connection.dueAt).not.toBeNull()
        }
      }),
      { numRuns: 500 },
    )
  })
})

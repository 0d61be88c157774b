import { describe, expect, test } from 'bun:test'
import type { AgentMessage } from '../protocol/agent-message.ts'
import { limits } from '../protocol/limits.ts'
import type { ServerMessage } from '../protocol/server-message.ts'
import { reconnectDelayMs } from './backoff.ts'
import type { ConnectionCommand, ConnectionEvent } from './connection-event.ts'
import { Connection } from './connection.ts'

const middle = 0.5

/** A connection with a clock that the test moves by hand. */
class Bench {
  readonly connection = new Connection()
  now = 1_000_000

  handle(event: ConnectionEvent, random = middle): readonly ConnectionCommand[] {
    return this.connection.handle(event, this.now, random)
  }

  get socket(): number {
    const { state } = this.connection
    if (!('socket' in state)) throw new Error(`no socket while ${state.name}`)
    return state.socket
  }

  receive(what: ServerMessage, random = middle): readonly ConnectionCommand[] {
    return this.handle({ type: 'received', socket: this.socket, what }, random)
  }

  /** Moves time to the next due moment and ticks. */
  tick(random = middle): readonly ConnectionCommand[] {
    if (this.connection.dueAt === null) throw new Error('nothing is due')
    this.now = this.connection.dueAt
    return this.handle({ type: 'tick' }, random)
  }

  open(): this {
    if (this.connection.state.name === 'idle') this.handle({ type: 'start' })
    this.handle({ type: 'socket_opened', socket: this.socket })
    return this
  }

  greet(): this {
    this.receive(challenge)
    this.receive(welcome)
    return this
  }

  close(reason = 'closed', random = middle): readonly ConnectionCommand[] {
    return this.handle({ type: 'socket_closed', socket: this.socket, reason }, random)
  }

  /** Milliseconds until the next attempt. */
  get wait(): number {
    const { state } = this.connection
    return state.name === 'backing_off' ? state.until - this.now : Number.NaN
  }
}

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
const types = (commands: readonly ConnectionCommand[]) => commands.map(command => command.type)

describe('the handshake', () => {
  test('answers the challenge with a hello for the newest common version, then comes online', () => {
    const bench = new Bench()
    expect(bench.handle({ type: 'start' })).toEqual([{ type: 'open_socket', socket: 1 }])
    expect(bench.handle({ type: 'socket_opened', socket: 1 })).toEqual([])
    expect(bench.receive({ ...challenge, versions: [3, 2, 1] })).toEqual([
      { type: 'send_hello', nonce: 'bm9uY2U=', version: 1 },
    ])
    expect(bench.receive(welcome)).toEqual([
      { type: 'online', welcome: { name: 'desk', adminState: 'active', version: 1 } },
      { type: 'send_heartbeat', sequence: 1, networkLatencyMs: null },
    ])
    expect(bench.connection.onlineSocket).toBe(1)
  })

  test('says hello also to a server without a common version, so that it can ask for an upgrade', () => {
    const bench = new Bench().open()
    expect(bench.receive({ ...challenge, versions: [9] })).toMatchObject([
      { type: 'send_hello', version: 1 },
    ])
  })

  test('is given up when nobody answers, and when the server is slow', () => {
    const unopened = new Bench()
    unopened.handle({ type: 'start' })
    expect(types(unopened.tick())).toEqual(['close_socket', 'retry'])
    const silent = new Bench().open()
    expect(types(silent.tick())).toEqual(['close_socket', 'retry'])
    const unwelcome = new Bench().open()
    unwelcome.receive(challenge)
    expect(types(unwelcome.tick())).toEqual(['close_socket', 'retry'])
  })

  test.each<[string, readonly ServerMessage[]]>([
    ['welcome before the challenge', [welcome]],
    ['a second challenge', [challenge, challenge]],
    ['work before welcome', [challenge, cancel]],
    ['an acknowledgement before welcome', [challenge, { type: 'heartbeat_ack', sequence: 1 }]],
    ['a version that is not ours', [challenge, { ...welcome, version: 7 }]],
  ])('ends at %s, without a word', (_, messages) => {
    const bench = new Bench().open()
    const last = messages.map(message => bench.receive(message)).at(-1)
    expect(last).toMatchObject([{ type: 'close_socket', code: 1008 }, { type: 'retry' }])
  })
})

describe('while online', () => {
  test('heartbeats go out every interval and carry the round trip of the one before', () => {
    const bench = new Bench().open().greet()
    bench.now += 23
    bench.receive({ type: 'heartbeat_ack', sequence: 1 })
    const start = bench.now - 23
    expect(bench.tick()).toEqual([{ type: 'send_heartbeat', sequence: 2, networkLatencyMs: 23 }])
    expect(bench.now).toBe(start + 30_000)
    bench.now += 40
    bench.receive({ type: 'heartbeat_ack', sequence: 2 })
    expect(bench.tick()).toEqual([{ type: 'send_heartbeat', sequence: 3, networkLatencyMs: 40 }])
    expect(bench.now).toBe(start + 60_000)
  })

  test('a heartbeat can go out at once, and the next one follows an interval later', () => {
    const bench = new Bench()
    expect(bench.handle({ type: 'heartbeat_now' })).toEqual([])
    bench.open().greet()
    bench.receive({ type: 'heartbeat_ack', sequence: 1 })
    bench.now += 10_000
    const now = bench.now
    expect(bench.handle({ type: 'heartbeat_now' })).toMatchObject([
      { type: 'send_heartbeat', sequence: 2 },
    ])
    expect(bench.tick()).toMatchObject([{ type: 'send_heartbeat', sequence: 3 }])
    expect(bench.now).toBe(now + 30_000)
  })

  test('a heartbeat that went out late does not move the ones after it', () => {
    const bench = new Bench().open().greet()
    const start = bench.now
    bench.receive({ type: 'heartbeat_ack', sequence: 1 })
    bench.now = start + 32_000
    bench.handle({ type: 'tick' })
    bench.receive({ type: 'heartbeat_ack', sequence: 2 })
    expect(bench.connection.dueAt).toBe(start + 60_000)
  })

  test('two intervals without an acknowledgement end the connection', () => {
    const bench = new Bench().open().greet()
    const start = bench.now
    expect(types(bench.tick())).toEqual(['send_heartbeat'])
    expect(types(bench.tick())).toEqual(['close_socket', 'offline', 'retry'])
    expect(bench.now).toBe(start + 60_000)
  })

  test('orders are handed on and words are sent; without a connection they are dropped', () => {
    const bench = new Bench().open().greet()
    expect(bench.receive(cancel)).toEqual([{ type: 'deliver', order: cancel as never }])
    const message = { type: 'error', error: { code: 'internal', message: 'x' } } as const
    expect(bench.handle({ type: 'say', message })).toEqual([{ type: 'send', message }])
    bench.close()
    expect(bench.handle({ type: 'say', message })).toEqual([])
  })

  test('an unknown type is ignored; bytes that break the protocol end the connection', () => {
    const bench = new Bench().open().greet()
    const refusal = (reason: 'unknown_type' | 'invalid') =>
      bench.handle({
        type: 'received',
        socket: bench.socket,
        what: { type: 'refusal', reason, detail: 'x' },
      })
    expect(types(refusal('unknown_type'))).toEqual(['log'])
    expect(bench.connection.state.name).toBe('online')
    const commands = refusal('invalid')
    expect(types(commands)).toEqual(['send', 'close_socket', 'offline', 'retry'])
    expect(commands[0]).toMatchObject({ message: { type: 'error' } })
  })

  test('the last words of an old socket are not heard', () => {
    const bench = new Bench().open().greet()
    expect(bench.handle({ type: 'received', socket: 99, what: cancel })).toEqual([])
    expect(bench.handle({ type: 'socket_closed', socket: 99, reason: 'x' })).toEqual([])
    expect(bench.connection.state.name).toBe('online')
  })
})

test('what the owner’s engines serve goes only to a server that knows what that is', () => {
  const message: AgentMessage = { type: 'external_models', models: [] }
  const say: ConnectionEvent = { type: 'say', message }
  expect(new Bench().open().greet().handle(say)).toEqual([])
  const bench = new Bench().open()
  bench.receive(challenge)
  bench.receive({ ...welcome, features: ['external'] })
  expect(bench.handle(say)).toEqual([{ type: 'send', message }])
})

test('a changed inventory goes only to a server that knows what that is', () => {
  const inventory = {
    hostname: 'den',
    os: 'linux',
    arch: 'x64',
    memoryTotalMb: 1,
    cpu: { name: 'test', physicalCores: 1, logicalCores: 1, features: [] },
    gpus: [],
  }
  const say = { type: 'say', message: { type: 'inventory', inventory } } as const
  expect(new Bench().open().greet().handle(say)).toEqual([])
  const bench = new Bench().open()
  bench.receive(challenge)
  expect(bench.handle(say)).toEqual([])
  bench.receive({ ...welcome, features: ['inventory', 'dance'] })
  expect(bench.handle(say)).toEqual([{ type: 'send', message: say.message }])
})

describe('coming back', () => {
  test('waits 1, 2, 4 … 60 seconds, each within 30 percent', () => {
    const bench = new Bench()
    bench.handle({ type: 'start' })
    const waits = [1, 2, 4, 8, 16, 32, 60, 60].map(seconds => {
      bench.close()
      expect(bench.wait).toBe(seconds * 1000)
      bench.tick()
      return bench.wait
    })
    expect(waits).toHaveLength(8)
    expect(reconnectDelayMs(0, 0)).toBeCloseTo(700)
    expect(reconnectDelayMs(0, 0.999999)).toBeCloseTo(1300, 1)
    expect(reconnectDelayMs(2_000, middle)).toBe(60_000)
  })

  test('starts over after a connection that worked, and only after one', () => {
    const bench = new Bench()
    bench.handle({ type: 'start' })
    for (let i = 0; i < 4; i++) {
      bench.close()
      bench.tick()
    }
    bench.open().greet()
    bench.close()
    expect(bench.wait).toBe(16_000)
    bench.tick()
    bench.open().greet()
    bench.receive({ type: 'heartbeat_ack', sequence: 1 })
    bench.close()
    expect(bench.wait).toBe(1_000)
  })

  test('after an announced restart the delay is drawn between the two bounds', () => {
    for (const [random, expected] of [
      [0, 200],
      [0.5, 600],
      [0.999, 999.2],
    ] as const) {
      const bench = new Bench().open().greet()
      bench.receive({ type: 'restarting', reconnectAfterMinMs: 200, reconnectAfterMaxMs: 1_000 })
      expect(bench.connection.state.name).toBe('online')
      bench.close('restart', random)
      expect(bench.wait).toBeCloseTo(expected)
    }
  })

  test('is at once when the machine slept, whatever the connection was doing', () => {
    const online = new Bench().open().greet()
    expect(types(online.handle({ type: 'woke' }))).toEqual([
      'close_socket',
      'offline',
      'log',
      'open_socket',
    ])
    const waiting = new Bench()
    waiting.handle({ type: 'start' })
    waiting.close()
    expect(types(waiting.handle({ type: 'woke' }))).toEqual(['log', 'open_socket'])
  })

  test('is at once when a tick comes much later than it was due', () => {
    const bench = new Bench().open().greet()
    bench.now += 30_000 + 11_000
    expect(types(bench.handle({ type: 'tick' }))).toContain('open_socket')
  })
})

describe('a refusal', () => {
  const refused = (code: string, retryAfterMs: number | null): ServerMessage => ({
    type: 'refused',
    error: { code, message: 'no' },
    retryAfterMs,
  })

  test('for an upgrade is followed by a question every hour', () => {
    const bench = new Bench().open()
    bench.receive(challenge)
    bench.receive(refused('upgrade_required', null))
    expect(bench.wait).toBe(limits.upgradeRetryMs)
  })

  test('with a time is obeyed, never earlier and never at once', () => {
    for (const [told, least] of [
      [20_000, 20_000],
      [0, limits.reconnectDelayMinMs],
    ] as const) {
      const bench = new Bench().open()
      bench.receive(challenge)
      bench.receive(refused('internal', told), 0)
      expect(bench.wait).toBe(least)
    }
  })

  test('without a time is for good: nothing is ever tried again', () => {
    const bench = new Bench().open()
    bench.receive(challenge)
    expect(bench.receive(refused('unauthorized', null))).toMatchObject([
      { type: 'close_socket' },
      { type: 'refused_for_good', error: { code: 'unauthorized', message: 'no' } },
    ])
    expect(bench.connection.dueAt).toBeNull()
    expect(bench.handle({ type: 'woke' })).toEqual([])
  })

  test('ends a connection that was online, too', () => {
    const bench = new Bench().open().greet()
    expect(types(bench.receive(refused('unauthorized', null)))).toEqual([
      'close_socket',
      'offline',
      'refused_for_good',
    ])
  })
})

test('an agent that stops says so to the server and does nothing more', () => {
  const bench = new Bench().open().greet()
  expect(bench.handle({ type: 'stop' })).toMatchObject([
    { type: 'close_socket', code: 1001 },
    { type: 'offline' },
  ])
  expect(bench.connection.state).toEqual({ name: 'stopped', error: null })
  expect(bench.handle({ type: 'tick' })).toEqual([])
})

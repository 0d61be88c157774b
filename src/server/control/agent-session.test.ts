import { describe, expect, test } from 'bun:test'
import type { Heartbeat, Hello } from '../../protocol/agent-message.ts'
import { newAgentId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import type { AgentRecord } from '../store/store.ts'
import { AgentSession, causeOfClose, closeCodes, type SessionEvent } from './agent-session.ts'

const agentId = newAgentId()
const inventory = {
  hostname: 'test',
  os: 'linux',
  arch: 'x64',
  memoryTotalMb: 1,
  cpu: { name: 'test', physicalCores: 1, logicalCores: 1, features: [] },
  gpus: [],
}
const hello: Hello = {
  type: 'hello',
  agentId,
  apiKey: 'key',
  versions: [1],
  features: [],
  software: { name: 'test', version: '1' },
  signature: '',
  inventory,
  region: null,
  instances: [],
  streams: [],
}
const heartbeat: Heartbeat = {
  type: 'heartbeat',
  sequence: 1,
  agent_id: agentId,
  status: 'available',
  current_load: 0,
  gpu_state: null,
  gpus: [],
  network_latency_ms: null,
  models_loaded: [],
}
const record: AgentRecord = {
  id: agentId,
  name: 'laptop',
  publicKey: new Uint8Array(32),
  apiKeyHash: new Uint8Array(32),
  capabilities: inventory,
  status: 'online',
  adminState: 'active',
  lastHeartbeatAt: null,
  reliability: 0.3,
  region: null,
  enrolledAt: 0,
  health: null,
  reliabilityRecord: null,
}
const opened: SessionEvent = { type: 'opened', nonce: 'bm9uY2U=' }
const received = (what: Extract<SessionEvent, { type: 'received' }>['what']): SessionEvent => ({
  type: 'received',
  what,
})

const names = (commands: readonly { type: string }[]) => commands.map(command => command.type)

function online(): AgentSession {
  const session = new AgentSession()
  session.handle(opened, 0)
  session.handle(received(hello), 0)
  session.handle({ type: 'identity', outcome: record }, 0)
  return session
}

describe('the handshake', () => {
  test('challenge, hello, proof, welcome; only then is the agent handed to the pool', () => {
    const session = new AgentSession()
    expect(session.handle(opened, 0)).toMatchObject([
      { type: 'send', message: { type: 'challenge', nonce: 'bm9uY2U=', versions: [1] } },
    ])
    expect(session.handle(received(hello), 1)).toEqual([
      { type: 'check_identity', hello, nonce: 'bm9uY2U=', version: 1 },
    ])
    expect(session.handle({ type: 'identity', outcome: record }, 2)).toMatchObject([
      { type: 'send', message: { type: 'welcome', version: 1, adminState: 'active' } },
      { type: 'admit', agent: record },
    ])
  })

  test('an agent that is too old is told when to ask again', () => {
    const session = new AgentSession()
    session.handle(opened, 0)
    expect(session.handle(received({ ...hello, versions: [999] }), 0)).toMatchObject([
      { type: 'log' },
      {
        type: 'send',
        message: {
          type: 'refused',
          error: { code: 'upgrade_required' },
          retryAfterMs: limits.upgradeRetryMs,
        },
      },
      { type: 'close', code: closeCodes.upgradeRequired },
    ])
  })

  test('a stranger and a revoked agent are refused for good', () => {
    const revoked: AgentRecord = { ...record, adminState: 'revoked' }
    for (const outcome of [revoked, { code: 'unauthorized', message: 'who?' } as const]) {
      const session = new AgentSession()
      session.handle(opened, 0)
      session.handle(received(hello), 0)
      expect(session.handle({ type: 'identity', outcome }, 0)).toMatchObject([
        { type: 'log' },
        { type: 'send', message: { type: 'refused', retryAfterMs: null } },
        { type: 'close', code: closeCodes.refused },
      ])
    }
  })

  test('nothing reaches the pool before it is over', () => {
    const error = { type: 'error', error: { code: 'internal', message: 'noise' } } as const
    for (const early of [heartbeat, error, { type: 'token' } as never]) {
      const session = new AgentSession()
      session.handle(opened, 0)
      const commands = session.handle(received(early), 0)
      expect(names(commands)).toEqual(['log', 'send', 'close'])
    }
  })

  test('a second hello, or one that takes too long, ends the connection', () => {
    expect(names(online().handle(received(hello), 0))).toContain('close')
    const session = new AgentSession()
    session.handle(opened, 0)
    expect(session.handle({ type: 'tick' }, limits.handshakeTimeoutMs - 1)).toEqual([])
    expect(names(session.handle({ type: 'tick' }, limits.handshakeTimeoutMs))).toContain('close')
  })

  test('the word of the registry comes too late for a connection that was given up', () => {
    const session = new AgentSession()
    session.handle(opened, 0)
    session.handle(received(hello), 0)
    session.handle({ type: 'tick' }, limits.handshakeTimeoutMs)
    expect(session.handle({ type: 'identity', outcome: record }, 99_999)).toEqual([])
  })
})

describe('an agent that is online', () => {
  test('heartbeats are acknowledged and passed on', () => {
    expect(online().handle(received(heartbeat), 5)).toEqual([
      { type: 'send', message: { type: 'heartbeat_ack', sequence: 1 } },
      { type: 'forward', message: heartbeat },
    ])
  })

  test('a changed inventory reaches the pool; before the handshake it ends the connection', () => {
    const message = { type: 'inventory', inventory } as const
    expect(online().handle(received(message), 5)).toEqual([{ type: 'forward', message }])
    const early = new AgentSession()
    early.handle(opened, 0)
    expect(names(early.handle(received(message), 0))).toContain('close')
  })

  test('a type that this server does not know is ignored, broken bytes are not', () => {
    const session = online()
    const unknown = { type: 'refusal', reason: 'unknown_type', detail: 'type dance' } as const
    expect(names(session.handle(received(unknown), 0))).toEqual(['log'])
    const broken = { type: 'refusal', reason: 'invalid', detail: 'no' } as const
    expect(names(session.handle(received(broken), 0))).toEqual(['log', 'send', 'close'])
    expect(session.handle(received(heartbeat), 0)).toEqual([])
  })

  test('an agent that is silent where it should not be is pinged at once, and late until it answers', () => {
    const session = online()
    expect(session.handle({ type: 'probe' }, 10)).toEqual([
      { type: 'ping' },
      { type: 'ping_late', late: true },
    ])
    expect(session.handle({ type: 'probe' }, 20)).toEqual([])
    expect(session.handle({ type: 'tick' }, 9 + limits.probeTimeoutMs)).toEqual([])
    expect(session.handle({ type: 'tick' }, 10 + limits.probeTimeoutMs)).toEqual([
      { type: 'silent' },
    ])
    expect(session.handle({ type: 'tick' }, 10 + limits.pongTimeoutMs)).toEqual([])
    expect(session.handle({ type: 'pong' }, 30_000)).toEqual([{ type: 'ping_late', late: false }])
    expect(session.handle({ type: 'tick' }, 30_000 + limits.pingIntervalMs)).toEqual([
      { type: 'ping' },
    ])
    // That one is under way: its answer does as well.
    expect(session.handle({ type: 'probe' }, 35_001)).toEqual([{ type: 'ping_late', late: true }])
    expect(session.handle({ type: 'pong' }, 35_002)).toEqual([{ type: 'ping_late', late: false }])
  })

  test('a late pong is told, and told again when it has come after all', () => {
    const session = online()
    const pingAt = limits.pingIntervalMs
    expect(session.handle({ type: 'tick' }, pingAt - 1)).toEqual([])
    expect(session.handle({ type: 'tick' }, pingAt)).toEqual([{ type: 'ping' }])
    const lateAt = pingAt + limits.pongTimeoutMs
    expect(session.handle({ type: 'tick' }, lateAt - 1)).toEqual([])
    expect(session.handle({ type: 'tick' }, lateAt)).toEqual([
      { type: 'ping_late', late: true },
      { type: 'silent' },
    ])
    expect(session.handle({ type: 'tick' }, lateAt + 1)).toEqual([])
    expect(session.handle({ type: 'pong' }, lateAt + 2)).toEqual([
      { type: 'ping_late', late: false },
    ])
  })
})

test.each([
  [1000, 'owner'],
  [1001, 'owner'],
  [1006, 'network'],
  [closeCodes.tryAgainLater, 'network'],
  [closeCodes.replaced, 'network'],
  [closeCodes.policyViolation, 'node'],
  [closeCodes.refused, 'server'],
  [closeCodes.upgradeRequired, 'server'],
])('a connection that ends with code %d is the doing of %s', (code, cause) => {
  expect(causeOfClose(code)).toBe(cause as never)
})

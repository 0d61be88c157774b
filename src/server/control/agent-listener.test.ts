import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { gpu } from '../../../test/support/scheduler-pool.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { inventory, model } from '../../../test/support/store-fixtures.ts'
import { Compile } from 'typebox/compile'
import { systemClock } from '../../clock.ts'
import { CatalogueAnswerSchema } from '../../protocol/catalogue.ts'
import { helloProofBytes, type EnrolResponse } from '../../protocol/enrolment.ts'
import { newAgentId, type AgentId } from '../../protocol/ids.ts'
import { parseJoinLink } from '../../protocol/join-link.ts'
import type { ServerMessage } from '../../protocol/server-message.ts'
import { DownloadFiles } from '../download/download-files.ts'
import { createJoinLink, enrol } from '../enrolment/enrol.ts'
import { startEnrolListener } from '../enrolment/enrol-listener.ts'
import { createLog } from '../log.ts'
import { assemblePool, type Pool } from '../pool/assemble-pool.ts'
import { loadTlsIdentity, type TlsIdentity } from '../tls/authority.ts'
import { AgentListener } from './agent-listener.ts'
import { closeCodes } from './agent-session.ts'
import { checkIdentity } from './identity.ts'

// Real TLS sockets and a real database: who gets in, and who does not.

const log = createLog({ level: 'silent', pretty: false, clock: systemClock })
let dir: string
let database: TestStore
let tls: TlsIdentity
let pool: Pool
let listener: AgentListener
let enrolment: ReturnType<typeof startEnrolListener>
let origin: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gpupool-listener-'))
  database = await openTestPglite()
  tls = await loadTlsIdentity(dir, ['127.0.0.1'], systemClock.now())
}, 30_000)
afterAll(async () => {
  await database.store.close()
  await rm(dir, { recursive: true, force: true })
})

beforeEach(async () => {
  await emptyDatabase(database.db)
  const { store } = database
  const clock = systemClock
  pool = await assemblePool({
    clock,
    log,
    store,
    createJoinLink: options =>
      createJoinLink({ clock, store }, { origin, caFingerprint: tls.caFingerprint }, options),
  })
  const { dispatcher, catalogue } = pool
  listener = new AgentListener(
    { clock, log, dispatcher, tls, checkIdentity: proof => checkIdentity(store, proof) },
    '127.0.0.1',
    0,
  )
  const take = (request: Parameters<typeof enrol>[1]) =>
    enrol({ clock, store, registry: pool.registry }, request, listener.port)
  const downloads = new DownloadFiles([])
  const deps = { log, store, tls, catalogue, downloads, origin: () => origin, enrol: take }
  enrolment = startEnrolListener(deps, '127.0.0.1', 0)
  origin = `https://127.0.0.1:${enrolment.port}`
})
afterEach(async () => {
  await listener.stop()
  await enrolment.stop(true)
})

type Machine = EnrolResponse & { readonly privateKey: KeyObject }

const post = (body: unknown) =>
  fetch(`${origin}/enrol`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    tls: { ca: tls.caPem },
  })

async function freshToken(uses = 1, ttlMs = 60_000): Promise<string> {
  const link = await pool.poolAdmin.createJoinLink({ uses, ttlMs, autoApprove: true })
  const parsed = parseJoinLink(link)
  if (typeof parsed === 'string') throw new Error(parsed)
  return parsed.token
}

function enrolmentBody(token: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  const body = {
    token,
    publicKey: raw.toString('base64'),
    name: 'laptop',
    region: null,
    inventory,
  }
  return { body, privateKey }
}

async function enrolMachine(): Promise<Machine> {
  const { body, privateKey } = enrolmentBody(await freshToken())
  const response = await post(body)
  expect(response.status).toBe(201)
  return { ...((await response.json()) as EnrolResponse), privateKey }
}

/** A bare agent: connects, answers the challenge as it is told, and notes what happens. */
class Caller {
  readonly messages: ServerMessage[] = []
  readonly closed: Promise<number>
  readonly answered: Promise<ServerMessage>
  readonly #socket: WebSocket

  constructor(
    machine: Machine,
    change: { nonce?: string; agentId?: AgentId; apiKey?: string; ca?: string } = {},
  ) {
    this.#socket = new WebSocket(`wss://127.0.0.1:${listener.port}/agent`, {
      tls: { ca: tls.caPem },
    } as never)
    this.closed = new Promise(resolve => {
      this.#socket.onclose = event => resolve(event.code)
    })
    this.answered = new Promise(resolve => {
      this.#socket.onmessage = event => {
        const message = JSON.parse(String(event.data)) as ServerMessage
        this.messages.push(message)
        if (message.type === 'challenge') this.#hello(machine, message.nonce, change)
        else resolve(message)
      }
    })
  }

  send(message: unknown): void {
    this.#socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  close(): void {
    this.#socket.close()
  }

  #hello(
    machine: Machine,
    nonce: string,
    change: { nonce?: string; agentId?: AgentId; apiKey?: string; ca?: string },
  ): void {
    const agentId = change.agentId ?? machine.agentId
    const proof = helloProofBytes({
      nonce: change.nonce ?? nonce,
      agentId,
      caFingerprint: change.ca ?? tls.caFingerprint,
      version: 1,
    })
    this.send({
      type: 'hello',
      agentId,
      apiKey: change.apiKey ?? machine.apiKey,
      versions: [1],
      features: [],
      software: { name: 'test', version: '0' },
      signature: sign(null, proof, machine.privateKey).toString('base64'),
      inventory,
      region: null,
      instances: [],
      streams: [],
    })
  }
}

describe('enrolment', () => {
  test('the authority is served, and its fingerprint is the one in the link', async () => {
    const response = await fetch(`${origin}/ca`, { tls: { rejectUnauthorized: false } })
    expect(await response.text()).toBe(tls.caPem)
  })

  test('a token works as often as it says and no more', async () => {
    const token = await freshToken(2)
    const statuses = []
    for (let i = 0; i < 3; i++) statuses.push((await post(enrolmentBody(token).body)).status)
    expect(statuses).toEqual([201, 201, 401])
  })

  test('a machine with a card that may not serve is taken in and told why; the operator reads it in the history', async () => {
    const { body } = enrolmentBody(await freshToken())
    const old = gpu({ computeCapability: '6.1' })
    const response = await post({ ...body, inventory: { ...inventory, gpus: [old] } })
    const { agentId, notes } = (await response.json()) as EnrolResponse
    expect(notes).toEqual(['NVIDIA L4 may not serve: compute capability 6.1, needed 7.0'])
    await pool.registry.flush()
    const [registered] = await database.store.listHistory(agentId, 1)
    expect(registered).toMatchObject({ type: 'registered', metadata: { notes } })
  })

  test('an expired, an invented and a damaged token are refused in words', async () => {
    const expired = await freshToken(1, 0)
    const response = await post(enrolmentBody(expired).body)
    expect(response.status).toBe(401)
    expect(await response.text()).toContain('expired')
    const damaged = await post(enrolmentBody(`${expired.slice(0, -1)}!`.replace('!', 'x')).body)
    expect(damaged.status).toBe(401)
  })

  test('a body that is no enrolment is a 400 that says where', async () => {
    expect((await post('{')).status).toBe(400)
    const { body } = enrolmentBody(await freshToken())
    const wrong = await post({ ...body, name: 7 })
    expect(wrong.status).toBe(400)
    expect(await wrong.text()).toContain('/name')
    const shortKey = await post({ ...body, publicKey: 'AAAA' })
    expect(shortKey.status).toBe(400)
  })

  test('only agents of the pool may fetch model files', async () => {
    const machine = await enrolMachine()
    const url = `${origin}/models/${'a'.repeat(64)}`
    const get = (headers: Record<string, string>) => fetch(url, { headers, tls: { ca: tls.caPem } })
    expect((await get({})).status).toBe(401)
    const headers = {
      authorization: `Bearer ${machine.apiKey}`,
      'x-gpupool-agent': machine.agentId,
    }
    expect((await get({ ...headers, authorization: 'Bearer nonsense' })).status).toBe(401)
    expect((await get(headers)).status).toBe(404)
  })

  test('only agents of the pool are told its catalogue, and not where files lie', async () => {
    const { apiKey, agentId } = await enrolMachine()
    const source = { kind: 'path', path: '/srv/operator/a.gguf' } as const
    await database.store.addModel(model('llama', { source }))
    await pool.poolAdmin.catalogueChanged()
    const ask = (key: string) =>
      fetch(`${origin}/catalogue`, {
        headers: { authorization: `Bearer ${key}`, 'x-gpupool-agent': agentId },
        tls: { ca: tls.caPem },
      })
    expect((await ask('nonsense')).status).toBe(401)
    const text = await (await ask(apiKey)).text()
    const answer: unknown = JSON.parse(text)
    expect(Compile(CatalogueAnswerSchema).Check(answer)).toBe(true)
    expect(answer).toMatchObject({ models: [{ manifest: { name: 'llama' }, slots: 4 }] })
    expect(text).not.toContain('operator')
  })
})

describe('a connection', () => {
  test('an enrolled agent is welcomed and shows as connected', async () => {
    const machine = await enrolMachine()
    const caller = new Caller(machine)
    expect(await caller.answered).toMatchObject({ type: 'welcome', adminState: 'active' })
    await pool.registry.flush()
    const history = await database.store.listHistory(machine.agentId, 10)
    expect(history.map(event => event.type)).toEqual(['connected', 'registered'])
    const [agent] = await pool.poolAdmin.listAgents()
    expect(agent?.live).toMatchObject({ connected: true, liveness: 'green' })
    caller.close()
  })

  test('without each part of the proof nobody gets in', async () => {
    const machine = await enrolMachine()
    const other = await enrolMachine()
    const forgeries = [
      { nonce: Buffer.alloc(32).toString('base64') },
      { ca: 'A'.repeat(43) },
      { apiKey: other.apiKey },
      { agentId: other.agentId },
      { agentId: newAgentId() },
    ]
    for (const forgery of forgeries) {
      const caller = new Caller(machine, forgery)
      expect(await caller.answered).toMatchObject({
        type: 'refused',
        error: { code: 'unauthorized' },
        retryAfterMs: null,
      })
      expect(await caller.closed).toBe(closeCodes.refused)
    }
    expect(pool.agents.size).toBe(0)
  })

  test('a revoked agent is thrown out at once and cannot come back', async () => {
    const machine = await enrolMachine()
    const caller = new Caller(machine)
    await caller.answered
    expect(await pool.poolAdmin.setAdminState(machine.agentId, 'revoked')).toBe(true)
    expect(await caller.closed).toBe(closeCodes.refused)
    expect(await new Caller(machine).answered).toMatchObject({ type: 'refused' })
  })

  test('of two connections of one agent the newer one counts', async () => {
    const machine = await enrolMachine()
    const older = new Caller(machine)
    await older.answered
    const newer = new Caller(machine)
    await newer.answered
    expect(await older.closed).toBe(closeCodes.replaced)
    expect(pool.agents.size).toBe(1)
    newer.close()
  })

  test('nonsense ends the connection, and the pool goes on', async () => {
    const machine = await enrolMachine()
    for (const nonsense of ['{', '{"type":"heartbeat"}', '[]']) {
      const caller = new Caller(machine)
      await caller.answered
      caller.send(nonsense)
      expect(await caller.closed).toBe(closeCodes.policyViolation)
    }
    expect((await new Caller(machine).answered).type).toBe('welcome')
  })
})

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { Compile } from 'typebox/compile'
import { EnrolRequestSchema, type EnrolResponse } from '../protocol/enrolment.ts'
import { newAgentId } from '../protocol/ids.ts'
import { formatJoinLink, type JoinLink } from '../protocol/join-link.ts'
import { agentPublicKey, generateAgentKey } from './agent-keys.ts'
import { createTestAuthority, type TestAuthority } from './certificates-for-tests.ts'
import { enrol, fingerprintOf, readJoinLink } from './enrol.ts'

let authority: TestAuthority
let server: Bun.Server<undefined>
let link: JoinLink
let bodies: unknown[] = []
let caAnswer = ''
let answer: () => Response

const response: EnrolResponse = {
  agentId: newAgentId(),
  apiKey: 'gpt_agt_key',
  controlPort: 8443,
  adminState: 'pending',
}
const request = {
  publicKey: agentPublicKey(generateAgentKey()),
  name: 'desk',
  region: null,
  inventory: {
    hostname: 'desk',
    os: 'linux',
    arch: 'x64',
    memoryTotalMb: 16_000,
    cpu: { name: 'cpu', physicalCores: 4, logicalCores: 8, features: ['avx2'] },
    gpus: [],
  },
}

beforeAll(async () => {
  authority = await createTestAuthority()
  server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls: await authority.issue('127.0.0.1'),
    routes: {
      '/ca': () => new Response(caAnswer),
      '/enrol': {
        POST: async received => {
          bodies.push(await received.json())
          return answer()
        },
      },
    },
    fetch: () => new Response('', { status: 404 }),
  })
  const { caFingerprint } = authority
  link = { origin: server.url.origin, token: 'gpt_enr_0123456789abcdef', caFingerprint }
})
afterAll(() => server.stop(true))
beforeEach(() => {
  bodies = []
  caAnswer = authority.caPem
  answer = () => Response.json(response, { status: 201 })
})

describe('joining a pool', () => {
  test('hands over the token and the public key, and gets the identity', async () => {
    expect(await enrol(link, request)).toEqual({ response, caPem: authority.caPem })
    expect(bodies).toEqual([{ token: link.token, ...request }])
    expect(Compile(EnrolRequestSchema).Check(bodies[0])).toBe(true)
  })

  test('sends nothing to a server whose authority is not the one in the link', async () => {
    caAnswer = (await createTestAuthority()).caPem
    const outcome = await enrol(link, request)
    expect(outcome).toEqual({ problem: expect.stringContaining('WARNING') })
    expect(bodies).toEqual([])
  })

  test('sends nothing to a server that shows the right authority without its certificate', async () => {
    const foreign = await createTestAuthority()
    const stranger = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      tls: await foreign.issue('127.0.0.1'),
      fetch: async received => {
        if (new URL(received.url).pathname === '/ca') return new Response(authority.caPem)
        bodies.push(await received.text())
        return Response.json(response)
      },
    })
    const outcome = await enrol({ ...link, origin: stranger.url.origin }, request)
    expect(outcome).toEqual({ problem: expect.stringContaining('cannot be reached') })
    expect(bodies).toEqual([])
    await stranger.stop(true)
  })

  test('says what the server said when the link is used up or expired', async () => {
    const message = 'this join link has expired; ask for a new one'
    answer = () => Response.json({ error: { code: 'unauthorized', message } }, { status: 401 })
    expect(await enrol(link, request)).toEqual({
      problem: expect.stringMatching(/has expired.*\n.*admin join-link/),
    })
  })

  test('says so when nobody answers, or something else does', async () => {
    const nobody = { ...link, origin: 'https://127.0.0.1:1' }
    expect(await enrol(nobody, request)).toEqual({
      problem: expect.stringMatching(/127\.0\.0\.1:1 cannot be reached/),
    })
    caAnswer = '<html>hello</html>'
    expect(await enrol(link, request)).toEqual({
      problem: expect.stringContaining('does not answer like a gpupool server'),
    })
    caAnswer = authority.caPem
    answer = () => Response.json({ hello: 'world' })
    expect(await enrol(link, request)).toEqual({ problem: expect.stringContaining('gpupool') })
    answer = () => new Response('x'.repeat(100_000))
    expect(await enrol(link, request)).toEqual({ problem: expect.stringContaining('too long') })
  })
})

test('the fingerprint is the one that join links carry', () => {
  expect(fingerprintOf(authority.caPem)).toBe(authority.caFingerprint)
  expect(fingerprintOf('nonsense')).toBeUndefined()
})

test('a link is read whole or refused with advice', () => {
  expect(readJoinLink(formatJoinLink(link))).toEqual(link)
  expect(readJoinLink(formatJoinLink(link).split('#')[0] ?? '')).toEqual({
    problem: expect.stringContaining('copy the whole line'),
  })
})

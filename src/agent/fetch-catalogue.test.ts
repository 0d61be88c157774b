import { afterAll, beforeAll, expect, test } from 'bun:test'
import { newAgentId } from '../protocol/ids.ts'
import { createTestAuthority } from './certificates-for-tests.ts'
import { fetchCatalogue } from './fetch-catalogue.ts'

let server: Bun.Server<undefined>
let caPem = ''
let answer: () => Response
const keys: (string | null)[] = []

beforeAll(async () => {
  const authority = await createTestAuthority()
  caPem = authority.caPem
  server = Bun.serve<undefined>({
    hostname: '127.0.0.1',
    port: 0,
    tls: await authority.issue('127.0.0.1'),
    fetch: request => {
      keys.push(request.headers.get('authorization'))
      return answer()
    },
  })
})
afterAll(() => server.stop(true))

const ask = (trusted = caPem, signal = new AbortController().signal) => {
  const identity = {
    agentId: newAgentId(),
    origin: server.url.origin,
    controlPort: 1,
    caFingerprint: 'x',
    apiKey: 'gpt_agt_key',
    name: 'desk',
    region: null,
  }
  return fetchCatalogue({ identity, caPem: trusted }, signal)
}

test('a catalogue is asked for with the key of the agent, and checked', async () => {
  answer = () => Response.json({ models: [], leftOut: 0 })
  expect(await ask()).toEqual({ type: 'catalogue', catalogue: { models: [], leftOut: 0 } })
  expect(keys.at(-1)).toBe('Bearer gpt_agt_key')
  answer = () => Response.json({ models: [{ name: 'no manifest' }], leftOut: 0 })
  expect(await ask()).toMatchObject({ type: 'unreachable' })
})

test.each([
  [401, 'refused'],
  [403, 'refused'],
  [404, 'older'],
  [500, 'unreachable'],
  [302, 'unreachable'],
])('the status %d means %s', async (status, type) => {
  answer = () => new Response('', { status, headers: { location: 'https://127.0.0.1:1/' } })
  expect(await ask()).toMatchObject({ type })
})

test('a server that another authority signed is told no key', async () => {
  const before = keys.length
  const other = (await createTestAuthority()).caPem
  expect(await ask(other)).toMatchObject({ type: 'unreachable' })
  expect(keys).toHaveLength(before)
})

test('a deadline that has passed is an answer in words', async () => {
  const signal = AbortSignal.abort(new Error('no answer within 5 s'))
  expect(await ask(caPem, signal)).toEqual({
    type: 'unreachable',
    problem: 'no answer within 5 s',
  })
})

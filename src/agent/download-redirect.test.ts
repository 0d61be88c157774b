import { expect, test } from 'bun:test'
import { agentLimits } from './agent-limits.ts'
import { fetchFollowing, redirectTarget, type Fetch } from './download-redirect.ts'

const pool = { headers: { authorization: 'Bearer key' }, caPem: 'the CA' }
const range = { range: 'bytes=5-' }
const never = new AbortController().signal

type Sent = { url: string; key: string | null; range: string | null; ca: unknown }

/** Answers each address with its redirect, any other with 200, and notes what came. */
function network(redirects: Record<string, string>) {
  const sent: Sent[] = []
  const send: Fetch = async (url, init) => {
    const headers = new Headers(init.headers)
    expect(init.redirect).toBe('manual')
    sent.push({
      url,
      key: headers.get('authorization'),
      range: headers.get('range'),
      ca: init.tls?.ca ?? null,
    })
    const location = redirects[url]
    return location === undefined
      ? new Response('bytes')
      : new Response(null, { status: 302, headers: { location } })
  }
  return { sent, send }
}

test("a redirect is followed, with the range, and without the pool's key and authority elsewhere", async () => {
  const { sent, send } = network({
    'https://pool/a': '/b',
    'https://pool/b': 'https://cache.example/c',
  })
  const answer = await fetchFollowing({ url: 'https://pool/a', pool }, range, never, send)
  expect(answer).toBeInstanceOf(Response)
  const own = { key: 'Bearer key', ca: 'the CA', range: 'bytes=5-' }
  expect(sent).toEqual([
    { url: 'https://pool/a', ...own },
    { url: 'https://pool/b', ...own },
    { url: 'https://cache.example/c', key: null, ca: null, range: 'bytes=5-' },
  ])
})

test('another port of the same host is another server', async () => {
  const { sent, send } = network({ 'https://pool/a': 'https://pool:444/a' })
  await fetchFollowing({ url: 'https://pool/a', pool }, {}, never, send)
  expect(sent.map(({ key }) => key)).toEqual(['Bearer key', null])
})

test('a circle ends', async () => {
  const { sent, send } = network({ 'https://a/': 'https://b/', 'https://b/': 'https://a/' })
  expect(await fetchFollowing({ url: 'https://a/', pool: null }, {}, never, send)).toEqual({
    problem: `the source redirects more than ${agentLimits.downloadRedirectsMax} times`,
  })
  expect(sent).toHaveLength(agentLimits.downloadRedirectsMax + 1)
})

test('nothing is fetched without https, nor from nowhere', () => {
  const from = 'https://a/x'
  for (const location of [null, 'http://a/x', 'file:///etc/passwd', 'https://', 'https://u:p@b/'])
    expect(redirectTarget(from, location)).toHaveProperty('problem')
  expect(redirectTarget(from, '//b/y')).toEqual({ url: 'https://b/y' })
})

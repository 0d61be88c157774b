import { agentLimits } from './agent-limits.ts'

/** How a request is sent; the global `fetch`, except where a test stands in between. */
export type Fetch = (url: string, init: BunFetchRequestInit) => Promise<Response>

/** What goes to one server alone: never to another that it redirects to. */
export type PoolAccess = {
  readonly headers: Readonly<Record<string, string>>
  readonly caPem: string
}

export type HopRequest = {
  readonly url: string
  /** Belongs to the origin of `url`; null: an ordinary https server, checked against the system's authorities. */
  readonly pool: PoolAccess | null
}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/**
 * Where a redirect leads.
 * @returns the address, or why it is not gone to
 */
export function redirectTarget(
  from: string,
  location: string | null,
): { readonly url: string } | { readonly problem: string } {
  if (location === null || !URL.canParse(location, from))
    return { problem: 'the source redirects to nowhere' }
  const { protocol, href, username, password } = new URL(location, from)
  // Without TLS, anybody on the way learns what is fetched and can keep it from arriving.
  if (protocol !== 'https:') return { problem: 'the source redirects to an address without https' }
  if (username !== '' || password !== '')
    return { problem: 'the source redirects to an address with a password' }
  return { url: href }
}

/**
 * Sends a request and follows redirects itself, since `fetch` would take the pool's key along to whoever is redirected
 * to; public hosts redirect to their caches as a matter of course.
 * @throws what `fetch` throws
 */
export async function fetchFollowing(
  { url, pool }: HopRequest,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  send: Fetch,
): Promise<Response | { readonly problem: string }> {
  const { origin } = new URL(url)
  let at = url
  for (let hops = 0; hops <= agentLimits.downloadRedirectsMax; hops++) {
    const own = pool !== null && new URL(at).origin === origin ? pool : null
    const response = await send(at, {
      signal,
      redirect: 'manual',
      headers: { ...own?.headers, ...headers },
      ...(own === null ? {} : { tls: { ca: own.caPem } }),
    })
    if (!redirects.has(response.status)) return response
    await response.body?.cancel()
    const target = redirectTarget(at, response.headers.get('location'))
    if ('problem' in target) return target
    at = target.url
  }
  return { problem: `the source redirects more than ${agentLimits.downloadRedirectsMax} times` }
}

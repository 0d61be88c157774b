import { isIPv4 } from 'node:net'
import { limits } from '../../protocol/limits.ts'

/** The engines that the owner runs beside the agent, as the owner named them. */
export type EngineSettings = {
  /** Base URLs such as `http://127.0.0.1:11434/v1`, without a slash at the end; none: the owner runs no engine. */
  readonly urls: readonly string[]
  /** Sent to each of them; null: none is needed. */
  readonly apiKey: string | null
  /** Requests that one model may get at a time; null: what the engine says, or 1. */
  readonly slots: number | null
}

export const noEngines: EngineSettings = { urls: [], apiKey: null, slots: null }

const urlsMax = 8

type Environment = Readonly<Record<string, string | undefined>>
/** All addresses of a host name. @throws when it has none */
type Lookup = (hostname: string) => Promise<readonly { readonly address: string }[]>

/**
 * Reads GPUPOOL_AGENT_ENGINE_URL, _KEY and _SLOTS. An engine must be on this machine: prompts of the pool's clients go to
 * the contributor's machine and no further.
 * @returns the settings, or what is wrong with them, for the owner
 */
export async function readEngineSettings(
  env: Environment,
  lookup: Lookup,
): Promise<EngineSettings | string> {
  const written = (env['GPUPOOL_AGENT_ENGINE_URL'] ?? '')
    .split(',')
    .map(url => url.trim())
    .filter(url => url !== '')
  if (written.length > urlsMax)
    return `GPUPOOL_AGENT_ENGINE_URL names ${written.length} engines; ${urlsMax} is the limit`
  const slots = parseSlots(env['GPUPOOL_AGENT_ENGINE_SLOTS'])
  if (typeof slots === 'string') return slots
  const apiKey = env['GPUPOOL_AGENT_ENGINE_KEY'] || null
  const urls = new Set<string>()
  for (const text of written) {
    const url = await parseEngineUrl(text, lookup)
    if ('problem' in url) return `GPUPOOL_AGENT_ENGINE_URL: ${url.problem}`
    urls.add(url.base)
  }
  return { urls: [...urls], apiKey, slots }
}

function parseSlots(text: string | undefined): number | null | string {
  if (text === undefined || text === '') return null
  const slots = Number(text)
  return Number.isInteger(slots) && slots >= 1 && slots <= limits.slotsPerInstanceMax
    ? slots
    : `GPUPOOL_AGENT_ENGINE_SLOTS must be a whole number from 1 to ${limits.slotsPerInstanceMax}, not "${text}"`
}

async function parseEngineUrl(
  text: string,
  lookup: Lookup,
): Promise<{ readonly base: string } | { readonly problem: string }> {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    return { problem: `"${text}" must be a URL such as http://127.0.0.1:11434/v1` }
  // The text is not repeated: it may hold a password.
  if (url.username !== '' || url.password !== '')
    return { problem: `a URL with a password; set GPUPOOL_AGENT_ENGINE_KEY for a key` }
  if (url.search !== '' || url.hash !== '')
    return { problem: `"${text}" must end with its path; it has a query or a fragment` }
  if (!(await isLoopback(url.hostname, lookup)))
    return {
      problem: `"${text}" is not on this machine; only 127.0.0.1, [::1] and localhost are allowed, so that prompts never leave it`,
    }
  return { base: url.href.replace(/\/+$/, '') }
}

/** The URL parser has written an IPv4 address in its usual form already, however it came. */
async function isLoopback(hostname: string, lookup: Lookup): Promise<boolean> {
  if (hostname === 'localhost') {
    const addresses = await lookup(hostname).catch(() => [])
    return addresses.length > 0 && addresses.every(({ address }) => isLoopbackAddress(address))
  }
  return isLoopbackAddress(hostname.replace(/^\[(.*)\]$/, '$1'))
}

const isLoopbackAddress = (address: string): boolean =>
  address === '::1' || (isIPv4(address) && address.startsWith('127.'))

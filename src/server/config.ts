import { resolve } from 'node:path'
import { nearestWord } from '../nearest-word.ts'
import { adminKeyCharactersMin } from './auth/admin-key.ts'
import { logLevels, type LogLevel } from './log.ts'
import { parseWebhookSecret } from './notify/webhook.ts'

/** Everything that an operator can set; see `settingsHelp`. */
export type Config = {
  readonly apiHost: string
  /** 0: any free port. */
  readonly apiPort: number
  readonly agentHost: string
  /** Control listener; enrolment listens on the port after it. 0: any free ports for both. */
  readonly agentPort: number
  /** Origin that join links name, for example `https://pool.example.org:8444`; null: made from host and port. */
  readonly publicUrl: string | null
  /** Absolute. */
  readonly dataDir: string
  /** Absolute; null: `download` in the data directory, then `dist/agent` of the checkout. */
  readonly downloadDir: string | null
  /** Null: PGlite in the data directory. */
  readonly databaseUrl: string | null
  /** Null: made at first start, see `auth/admin-key.ts`. */
  readonly adminKey: string | null
  readonly logLevel: LogLevel
  /** The operator says that a proxy in front of the API terminates TLS. */
  readonly tlsProxy: boolean
  /** A second agent races one whose first token is late. */
  readonly hedge: boolean
  /** Where events are posted that the operator should hear of; null: nowhere. */
  readonly webhookUrl: string | null
  /** Signs what is posted; null: nothing is signed. */
  readonly webhookSecret: Uint8Array | null
}

export type ConfigOutcome =
  | { readonly config: Config; readonly warnings: readonly string[] }
  | { readonly problems: readonly string[] }

type Setting = { readonly name: string; readonly shownDefault: string; readonly what: string }

const settings: readonly Setting[] = [
  { name: 'GPUPOOL_HOST', shownDefault: '127.0.0.1', what: 'address of the API' },
  { name: 'GPUPOOL_PORT', shownDefault: '8080', what: 'port of the API; 0 takes any free one' },
  { name: 'GPUPOOL_AGENT_HOST', shownDefault: '0.0.0.0', what: 'address that agents connect to' },
  {
    name: 'GPUPOOL_AGENT_PORT',
    shownDefault: '8443',
    what: 'port for agents (TLS); enrolment is the port after it; 0 takes any two',
  },
  {
    name: 'GPUPOOL_PUBLIC_URL',
    shownDefault: 'from host and port',
    what: 'enrolment address in join links, https://HOST[:PORT]',
  },
  {
    name: 'GPUPOOL_DATA_DIR',
    shownDefault: './.gpupool',
    what: 'where the server keeps its files',
  },
  {
    name: 'GPUPOOL_DOWNLOAD_DIR',
    shownDefault: 'download in the data dir, then dist/agent',
    what: 'executables of the agent that contributors fetch at /download/',
  },
  {
    name: 'DATABASE_URL',
    shownDefault: 'PGlite in the data dir',
    what: 'PostgreSQL, as postgres://USER:PASSWORD@HOST/NAME',
  },
  {
    name: 'GPUPOOL_ADMIN_KEY',
    shownDefault: 'made at first start',
    what: `operator's key, at least ${adminKeyCharactersMin} characters`,
  },
  { name: 'GPUPOOL_LOG_LEVEL', shownDefault: 'info', what: logLevels.join(', ') },
  {
    name: 'GPUPOOL_TLS_PROXY',
    shownDefault: 'false',
    what: 'true: a proxy in front of the API does TLS, so it may bind beyond loopback',
  },
  {
    name: 'GPUPOOL_HEDGE',
    shownDefault: 'false',
    what: 'true: when a first token is late by the agent’s own history, a second agent races it',
  },
  {
    name: 'GPUPOOL_ADMIN_WEBHOOK',
    shownDefault: 'none',
    what: 'https address (http on this machine) that events for the operator are posted to',
  },
  {
    name: 'GPUPOOL_ADMIN_WEBHOOK_SECRET',
    shownDefault: 'none',
    what: 'signs what is posted (Standard Webhooks): whsec_ and base64 of 16 to 64 random bytes',
  },
]

/** Variables of the agent and of the admin CLI, which may be set in the same shell. */
const settingsOfOthers = [
  'GPUPOOL_AGENT_DIR',
  'GPUPOOL_AGENT_CACHE_DIR',
  'GPUPOOL_AGENT_THREADS',
  'GPUPOOL_AGENT_CALIBRATE',
  'GPUPOOL_URL',
]

/** All settings with their defaults, for `--help`. */
export function settingsHelp(): string {
  const rows = settings.map(
    ({ name, shownDefault, what }) => `  ${name}  [${shownDefault}]\n      ${what}`,
  )
  return ['Settings (environment variables, [default]):', ...rows].join('\n')
}

/**
 * Reads the environment. Never throws.
 * @returns the settings and warnings about variables that nobody reads, or every problem at once
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): ConfigOutcome {
  const read = new SettingReader(env)
  const config: Config = {
    apiHost: read.host('GPUPOOL_HOST', '127.0.0.1'),
    apiPort: read.port('GPUPOOL_PORT', 8080, 65_535),
    agentHost: read.host('GPUPOOL_AGENT_HOST', '0.0.0.0'),
    // The port after it must exist too.
    agentPort: read.port('GPUPOOL_AGENT_PORT', 8443, 65_534),
    publicUrl: read.origin('GPUPOOL_PUBLIC_URL'),
    dataDir: resolve(read.text('GPUPOOL_DATA_DIR') ?? '.gpupool'),
    downloadDir: read.path('GPUPOOL_DOWNLOAD_DIR'),
    databaseUrl: read.databaseUrl('DATABASE_URL'),
    adminKey: read.adminKey('GPUPOOL_ADMIN_KEY'),
    logLevel: read.logLevel('GPUPOOL_LOG_LEVEL'),
    tlsProxy: read.flag('GPUPOOL_TLS_PROXY'),
    hedge: read.flag('GPUPOOL_HEDGE'),
    webhookUrl: read.webhookUrl('GPUPOOL_ADMIN_WEBHOOK'),
    webhookSecret: read.webhookSecret('GPUPOOL_ADMIN_WEBHOOK_SECRET'),
  }
  const problems = [...read.problems, ...contradictions(config)]
  if (problems.length > 0) return { problems }
  return { config: Object.freeze(config), warnings: unknownVariables(env) }
}

function contradictions(config: Config): string[] {
  const problems: string[] = []
  const { apiHost, apiPort, agentPort } = config
  if (apiPort !== 0 && agentPort !== 0 && (apiPort === agentPort || apiPort === agentPort + 1))
    problems.push(
      `GPUPOOL_PORT is ${apiPort}, which GPUPOOL_AGENT_PORT (${agentPort} and ${agentPort + 1}) takes already`,
    )
  if (!isLoopback(apiHost) && !config.tlsProxy)
    problems.push(
      `GPUPOOL_HOST is ${apiHost}: beyond this machine the API would send keys and prompts in the clear. ` +
        'Put a proxy that does TLS in front of it and set GPUPOOL_TLS_PROXY=true, or keep 127.0.0.1',
    )
  if (config.webhookSecret !== null && config.webhookUrl === null)
    problems.push('GPUPOOL_ADMIN_WEBHOOK_SECRET signs nothing without GPUPOOL_ADMIN_WEBHOOK')
  return problems
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)

function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const own = settings.map(setting => setting.name)
  const known = new Set([...own, ...settingsOfOthers])
  return Object.keys(env)
    .filter(name => name.startsWith('GPUPOOL_') && !known.has(name))
    .map(name => {
      const meant = nearestWord(name, own)
      return `${name} is not a setting and has no effect${meant === null ? '' : `; did you mean ${meant}?`}`
    })
}

/** Reads one setting each and remembers what is wrong; an empty variable counts as unset, as shells and compose do. */
class SettingReader {
  readonly problems: string[] = []
  readonly #env: Readonly<Record<string, string | undefined>>

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env
  }

  text(name: string): string | null {
    const value = this.#env[name]?.trim()
    return value === undefined || value === '' ? null : value
  }

  path(name: string): string | null {
    const value = this.text(name)
    return value === null ? null : resolve(value)
  }

  host(name: string, fallback: string): string {
    const value = this.text(name) ?? fallback
    if (/^[A-Za-z0-9.:_-]+$/.test(value)) return value
    this.problems.push(
      `${name} is '${value}'; it must be a host name or an address, without a port`,
    )
    return fallback
  }

  port(name: string, fallback: number, max: number): number {
    const value = this.text(name)
    if (value === null) return fallback
    const port = /^\d{1,5}$/.test(value) ? Number(value) : Infinity
    if (port <= max) return port
    this.problems.push(`${name} is '${value}'; it must be a port from 0 to ${max}`)
    return fallback
  }

  origin(name: string): string | null {
    const value = this.text(name)
    if (value === null) return null
    const url = URL.parse(value)
    if (url?.protocol === 'https:' && url.pathname === '/' && url.search + url.hash === '')
      return url.origin
    this.problems.push(`${name} is '${value}'; it must look like https://pool.example.org:8444`)
    return null
  }

  databaseUrl(name: string): string | null {
    const value = this.text(name)
    if (value === null || /^postgres(ql)?:\/\/./.test(value)) return value
    // The value may hold a password, so it is not repeated.
    this.problems.push(`${name} must begin with postgres:// or postgresql://`)
    return null
  }

  adminKey(name: string): string | null {
    const value = this.text(name)
    if (value === null) return null
    if (value.length < adminKeyCharactersMin)
      this.problems.push(`${name} must have at least ${adminKeyCharactersMin} characters`)
    else if (!/^[\x21-\x7e]+$/.test(value))
      this.problems.push(`${name} may hold only visible ASCII characters, no spaces`)
    return value
  }

  webhookUrl(name: string): string | null {
    const value = this.text(name)
    if (value === null) return null
    const url = URL.parse(value)
    const isSafe =
      url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))
    if (url !== null && isSafe && url.username + url.password === '') return value
    // The address may hold a secret, so it is not repeated.
    this.problems.push(
      `${name} must be an https:// address without user and password; http:// only for this machine`,
    )
    return null
  }

  webhookSecret(name: string): Uint8Array | null {
    const value = this.text(name)
    if (value === null) return null
    const secret = parseWebhookSecret(value)
    if (secret === undefined)
      this.problems.push(
        `${name} must be whsec_ and base64 of 16 to 64 bytes; make one with: echo whsec_$(openssl rand -base64 32)`,
      )
    return secret ?? null
  }

  logLevel(name: string): LogLevel {
    const value = this.text(name) ?? 'info'
    const level = logLevels.find(each => each === value)
    if (level === undefined)
      this.problems.push(`${name} is '${value}'; it must be one of ${logLevels.join(', ')}`)
    return level ?? 'info'
  }

  flag(name: string): boolean {
    const value = this.text(name)?.toLowerCase() ?? 'false'
    if (['true', '1', 'yes'].includes(value)) return true
    if (!['false', '0', 'no'].includes(value))
      this.problems.push(`${name} is '${value}'; it must be true or false`)
    return false
  }
}

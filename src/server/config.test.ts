import { describe, expect, test } from 'bun:test'
import { resolve } from 'node:path'
import { loadConfig, settingsHelp, type Config } from './config.ts'

const config = (env: Record<string, string> = {}): Config => {
  const outcome = loadConfig(env)
  if ('problems' in outcome) throw new Error(outcome.problems.join('\n'))
  return outcome.config
}
const problems = (env: Record<string, string>): readonly string[] => {
  const outcome = loadConfig(env)
  if ('config' in outcome) throw new Error('accepted')
  return outcome.problems
}

test('an empty environment gives the defaults, frozen', () => {
  expect(config()).toEqual({
    apiHost: '127.0.0.1',
    apiPort: 8080,
    agentHost: '0.0.0.0',
    agentPort: 8443,
    publicUrl: null,
    dataDir: resolve('.gpupool'),
    downloadDir: null,
    databaseUrl: null,
    adminKey: null,
    logLevel: 'info',
    tlsProxy: false,
    hedge: false,
    webhookUrl: null,
    webhookSecret: null,
  })
  expect(Object.isFrozen(config())).toBe(true)
})

test('an empty variable is unset', () => {
  expect(config({ GPUPOOL_PORT: '', DATABASE_URL: ' ' })).toEqual(config())
})

test('port 0 takes any free port', () => {
  expect(config({ GPUPOOL_PORT: '0', GPUPOOL_AGENT_PORT: '0' })).toMatchObject({
    apiPort: 0,
    agentPort: 0,
  })
})

test('all problems are told at once, and a secret is never repeated', () => {
  const found = problems({
    GPUPOOL_PORT: '80a',
    GPUPOOL_HOST: 'http://x',
    GPUPOOL_AGENT_PORT: '65535',
    GPUPOOL_PUBLIC_URL: 'http://pool.example',
    DATABASE_URL: 'mysql://root:hunter2@db/x',
    GPUPOOL_ADMIN_KEY: 'hunter2',
    GPUPOOL_LOG_LEVEL: 'loud',
    GPUPOOL_TLS_PROXY: 'maybe',
    GPUPOOL_ADMIN_WEBHOOK: 'http://chat.example/hunter2',
    GPUPOOL_ADMIN_WEBHOOK_SECRET: 'hunter2',
  })
  for (const name of [
    'PORT',
    'HOST',
    'AGENT_PORT',
    'PUBLIC_URL',
    'ADMIN_KEY',
    'LOG_LEVEL',
    'TLS_PROXY',
    'ADMIN_WEBHOOK',
    'ADMIN_WEBHOOK_SECRET',
  ])
    expect(found.some(text => text.startsWith(`GPUPOOL_${name} `))).toBe(true)
  expect(found.some(text => text.startsWith('DATABASE_URL '))).toBe(true)
  expect(found.join()).not.toContain('hunter2')
})

test('the API does not bind beyond loopback unless a proxy does TLS', () => {
  expect(problems({ GPUPOOL_HOST: '0.0.0.0' })[0]).toContain('GPUPOOL_TLS_PROXY=true')
  expect(config({ GPUPOOL_HOST: '0.0.0.0', GPUPOOL_TLS_PROXY: 'true' }).apiHost).toBe('0.0.0.0')
  for (const GPUPOOL_HOST of ['127.0.0.1', '127.8.8.8', '::1', 'localhost'])
    expect(config({ GPUPOOL_HOST }).apiHost).toBe(GPUPOOL_HOST)
})

test('ports that collide are refused, the enrolment port included', () => {
  expect(problems({ GPUPOOL_PORT: '8443' })).toHaveLength(1)
  expect(problems({ GPUPOOL_PORT: '8444' })).toHaveLength(1)
  expect(config({ GPUPOOL_PORT: '8445' }).apiPort).toBe(8445)
})

describe('a variable that nobody reads', () => {
  test('is named, with the one that was probably meant', () => {
    const outcome = loadConfig({
      GPUPOOL_PROT: '9',
      PATH: '/bin',
      GPUPOOL_AGENT_DIR: '/x',
      GPUPOOL_URL: 'y',
    })
    expect('warnings' in outcome && outcome.warnings).toEqual([
      'GPUPOOL_PROT is not a setting and has no effect; did you mean GPUPOOL_PORT?',
    ])
  })
})

test('the help names every setting, and only such', () => {
  const help = settingsHelp()
  const names = new Set(help.match(/^ {2}[A-Z_]+/gm)?.map(name => name.trim()))
  const withEach = Object.fromEntries([...names].map(name => [name, '\u0000wrong']))
  expect(problems(withEach)).toHaveLength(names.size - 2) // folders can have any name
  expect(names.size).toBe(Object.keys(config()).length)
})

describe('the webhook', () => {
  const secret = `whsec_${Buffer.from('k'.repeat(32)).toString('base64')}`

  test('goes over https, or stays on this machine', () => {
    for (const url of [
      'https://chat.example/hooks/x?y=z',
      'http://127.0.0.1:9000/',
      'http://[::1]:9000/',
      'http://localhost/hook',
    ])
      expect(config({ GPUPOOL_ADMIN_WEBHOOK: url }).webhookUrl).toBe(url)
    for (const url of [
      'http://chat.example/',
      'chat.example',
      'https://user:pw@chat.example/',
      'file:///x',
    ])
      expect(problems({ GPUPOOL_ADMIN_WEBHOOK: url })).toHaveLength(1)
  })

  test('is signed with the bytes of the secret; a secret without address is a mistake', () => {
    const settings = {
      GPUPOOL_ADMIN_WEBHOOK: 'https://a.example/',
      GPUPOOL_ADMIN_WEBHOOK_SECRET: secret,
    }
    expect(config(settings).webhookSecret).toEqual(new Uint8Array(Buffer.from('k'.repeat(32))))
    expect(problems({ GPUPOOL_ADMIN_WEBHOOK_SECRET: secret })).toHaveLength(1)
  })
})

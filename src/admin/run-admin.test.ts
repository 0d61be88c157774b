import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { adminEvent } from '../../test/support/admin-events.ts'
import { adminKey, testApi, type TestApi } from '../../test/support/api.ts'
import { emptyDatabase } from '../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../test/support/pglite.ts'
import { gpu, inventoryOf } from '../../test/support/scheduler-pool.ts'
import {
  enrolled,
  minuteMs,
  model,
  request,
  shape,
  start,
} from '../../test/support/store-fixtures.ts'
import { runAdmin } from './run-admin.ts'

let database: TestStore
let api: TestApi
let url = ''

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  api = await testApi(database.store, {
    describeModel: () => Promise.resolve({ ...model('x').manifest }),
    fetch: () => Promise.reject(new TypeError('no network in tests')),
  })
  url = api.listen()
})
afterEach(() => api.close())

async function admin(line: string, env?: Record<string, string>) {
  let out = ''
  let note = ''
  const code = await runAdmin(line.split(' ').filter(Boolean), {
    env: env ?? { GPUPOOL_URL: url, GPUPOOL_ADMIN_KEY: adminKey },
    workingDir: '/work-of-the-operator',
    output: { out: text => void (out += text), note: text => void (note += text) },
  })
  return { code, out, note }
}

const tableFits = (table: string) => {
  for (const line of table.split('\n')) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(80)
}

describe('what a script wants is alone on standard output:', () => {
  test('join-link', async () => {
    const { code, out, note } = await admin('join-link --uses 3 --ttl 2h --auto-approve')
    expect({ code, out }).toEqual({
      code: 0,
      out: 'https://pool.example:8444/join/gpe_token#ca=fingerprint\n',
    })
    expect(note).toContain('Works until')
    expect(api.pool.joinLinks).toEqual([{ uses: 3, ttlMs: 120 * minuteMs, autoApprove: true }])
  })

  test('keys create, whose key works until it is revoked', async () => {
    const { code, out } = await admin('keys create --name page --scopes models:read')
    expect(code).toBe(0)
    expect(out).toMatch(/^gpk_\S+\n$/)
    const use = () =>
      fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${out.trim()}` } })
    expect((await use()).status).toBe(200)
    const [listed] = JSON.parse((await admin('keys ls --json')).out)
    expect(listed).toMatchObject({ name: 'page', scopes: ['models:read'] })
    expect(await admin(`keys revoke ${listed.id}`)).toMatchObject({ code: 0, out: '' })
    expect((await use()).status).toBe(401)
    expect((await admin(`keys revoke ${listed.id}`)).code).toBe(1)
  })

  test('models add, with the path as the server can find it', async () => {
    expect(await admin('models add org/a ./a.gguf --slots 2 --context 4096')).toMatchObject({
      code: 0,
      out: 'org/a\n',
    })
    const [added] = await database.store.listModels()
    expect(added).toMatchObject({
      manifest: { name: 'org/a' },
      source: { path: '/work-of-the-operator/a.gguf' },
      slots: 2,
      contextTokens: 4_096,
    })
  })
})

describe('models', () => {
  test('are listed, loaded, unloaded and removed, slashes in the name or not', async () => {
    await admin('models add org/a /a.gguf')
    const { out } = await admin('models ls')
    expect(out).toBe(
      'NAME   KIND  SIZE     QUANT   CONTEXT  SLOTS  STAYS\norg/a  chat  4.7 GiB  Q4_K_M  8192     4      -\n',
    )
    expect((await admin('models load org/a')).note).toContain('1 machine')
    expect((await admin('models unload org/a')).code).toBe(0)
    expect((await admin('models rm org/a')).code).toBe(0)
    expect((await admin('models rm org/a')).code).toBe(1)
    expect(api.pool.loads).toEqual([{ name: 'org/a', agentId: null }])
    expect(JSON.parse((await admin('models ls --json')).out)).toEqual([])
  })
})

test('models stay in memory as long as the operator says', async () => {
  await admin('models add org/a /a.gguf --pin')
  const staysOf = async () => (await admin('models ls')).out.trim().split(/ {2,}/).at(-1)
  expect(await staysOf()).toBe('pinned')
  expect((await admin('models unpin org/a')).note).toContain('may go to make room')
  expect((await admin('models idle org/a 2h')).code).toBe(0)
  expect(await staysOf()).toBe('120 min')
  expect((await admin('models idle org/a never')).code).toBe(0)
  expect(await staysOf()).toBe('until needed')
  expect((await admin('models idle org/a default')).code).toBe(0)
  expect(await staysOf()).toBe('-')
  expect((await admin('models idle org/a soon')).code).toBe(2)
  expect((await admin('models pin nothing')).code).toBe(1)
  expect(api.pool.stayChanges).toEqual(['org/a', 'org/a', 'org/a', 'org/a'])
})

describe('agents', () => {
  test('are named by id, by its beginning or by name', async () => {
    const { id } = await enrolled(database.store, { name: 'den' })
    for (const what of [id, id.slice(0, 6), 'den']) {
      expect(JSON.parse((await admin(`agents show ${what} --json`)).out).id).toBe(id)
      expect((await admin(`agents drain ${what}`)).note).toBe('den is draining.\n')
      expect((await admin(`agents resume ${what}`)).note).toBe('den is active.\n')
    }
    expect((await admin('agents show nobody')).note).toContain('admin agents ls')
    await enrolled(database.store, { name: 'den' })
    expect(await admin('agents revoke den')).toMatchObject({
      code: 1,
      note: expect.stringContaining('2 agents'),
    })
    expect(await admin(`agents revoke ${id}`)).toMatchObject({ code: 0, note: 'den is revoked.\n' })
    expect((await admin(`agents approve ${id}`)).note).toContain("den is revoked; 'approve' is for")
  })

  test('are shown with their devices, whether those may serve, and what they can hold', async () => {
    const old = gpu({ id: 'GPU-2', name: 'NVIDIA GeForce GTX 1080', computeCapability: '6.1' })
    const capabilities = { ...inventoryOf([gpu(), old], 32_768), hostname: 'evil\u001b[2J' }
    await enrolled(database.store, { name: 'den', capabilities })
    const { manifest } = model('small')
    await database.store.addModel(model('small', { manifest: { ...manifest, shape } }))
    await database.store.addModel(
      model('huge', { manifest: { ...manifest, name: 'huge', sizeBytes: 70e9 } }),
    )
    const { out } = await admin('agents show den')
    for (const text of [
      /device +NVIDIA L4 \(GPU-1\), driver 570.124.06/,
      /may serve +yes/,
      /may serve +no: compute capability 6.1, needed 7.0/,
      /0 thermal events in 24 h/,
      /score +52.5 = .*estimated from 300 GB\/s/,
      /model +small: fits \(whole on NVIDIA L4\)/,
      /model +huge: no \(does not fit main memory: 32768 MB, needed \d+ MB; .*23034 MB, needed/,
      /0 of 0 inferences failed/,
    ])
      expect(out).toMatch(text)
    expect(out).not.toContain('\u001b')
    const listed = (await admin('agents ls')).out
    tableFits(listed)
    expect(listed).toContain('L4 22G')
  })

  test('fit a terminal, and their owners cannot steer it', async () => {
    await enrolled(database.store, { name: `evil\u001b[2J${'long '.repeat(20)}` })
    const instance = (name: string) => ({
      instanceId: crypto.randomUUID() as never,
      model: name,
      status: { state: 'unloaded' as const },
    })
    api.pool.live = {
      ...api.pool.live,
      connected: true,
      instances: ['llama-3.1-8b-instruct-q4', 'qwen-2.5-72b'].map(instance),
    }
    const { out } = await admin('agents ls')
    tableFits(out)
    expect(out).not.toContain('\u001b')
    expect(out).toContain('evil?[2J')
  })
})

test('usage is a table that fits, or JSON', async () => {
  await database.store.settleRequest(
    request({ keyId: 'admin', model: `m${'x'.repeat(120)}`, promptTokens: 5, completionTokens: 3 }),
  )
  tableFits((await admin('usage')).out)
  expect(JSON.parse((await admin('usage --json')).out)).toMatchObject([
    { keyId: 'admin', promptTokens: 5 },
  ])
})

test('who waits is a table that fits, or JSON', async () => {
  const row = { priority: 'low', waiting: 51, tenants: 2, longestMs: 4_200, emptyMs: null } as const
  api.pool.rows = [{ model: `m${'x'.repeat(120)}`, ...row }]
  const { out } = await admin('queue')
  tableFits(out)
  expect(out).toMatch(/low +51 +2 +5 s +\?/)
  expect(JSON.parse((await admin('queue --json')).out)).toMatchObject([row])
})

test('events are told in full, newest first, of one agent or of all, or as JSON', async () => {
  const { id: agentId } = await enrolled(database.store)
  const text = `5 of 40 inferences failed in 24 h, 12.5 %; ${'x'.repeat(120)}`
  const unhealthy = { type: 'agent_unhealthy', severity: 'critical' } as const
  await database.store.appendEvents([
    adminEvent({ ...unhealthy, agentId, agentName: 'den\u001b[2J', text, times: 3 }),
    adminEvent({ at: start + 1_000 }),
  ])
  expect((await admin('events')).out).toBe(
    '2026-01-02T03:04:06.678Z warning model failed\n  the file is damaged\n' +
      `2026-01-02T03:04:05.678Z critical agent unhealthy den?[2J (3 times)\n  ${text}\n`,
  )
  expect(JSON.parse((await admin(`events --agent ${agentId} --json`)).out)).toMatchObject([
    { type: 'agent_unhealthy', times: 3 },
  ])
  expect((await admin('events --limit 1')).out).not.toContain('unhealthy')
  expect(await admin('events --limit 0')).toMatchObject({ code: 2, out: '' })
  expect(await admin('events --limit 5000')).toMatchObject({ code: 1, out: '' })
  expect(await admin('events --agent nobody')).toMatchObject({ code: 1, out: '' })
})

describe('server and key', () => {
  test('are found in the data directory when nothing is set', async () => {
    await writeFile(join(api.dataDir, 'api.url'), `${url}\n`)
    await writeFile(join(api.dataDir, 'admin.key'), `${adminKey}\n`)
    expect((await admin('models ls', { GPUPOOL_DATA_DIR: api.dataDir })).code).toBe(0)
  })

  test('a missing key, a wrong key and a server that is not running are told apart', async () => {
    const missing = await admin('models ls', { GPUPOOL_DATA_DIR: api.dataDir })
    expect(missing).toMatchObject({
      code: 1,
      note: expect.stringContaining('there is no admin key'),
    })
    const wrong = await admin('models ls', { GPUPOOL_URL: url, GPUPOOL_ADMIN_KEY: 'x' })
    expect(wrong).toMatchObject({
      code: 1,
      note: expect.stringContaining('does not accept the admin key'),
    })
    await api.app.server?.stop(true)
    expect(await admin('models ls')).toMatchObject({
      code: 1,
      note: expect.stringContaining('Is it running?'),
    })
  })

  test('something that is no gpupool server is noticed', async () => {
    const other = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch: () => new Response('<html>', { status: 502 }),
    })
    const { note } = await admin('models ls', {
      GPUPOOL_URL: other.url.href,
      GPUPOOL_ADMIN_KEY: 'x',
    })
    await other.stop(true)
    expect(note).toContain('502')
  })
})

describe('a wrong command line exits with 2 and says what was meant:', () => {
  test.each([
    ['', 'usage: bun run admin'],
    ['agents', 'agents ls, agents show'],
    ['agents aprove x', 'Did you mean: agents approve?'],
    ['model ls', 'Did you mean: models ls?'],
    ['join-link --use 3', 'did you mean --uses?'],
    ['join-link --uses x', '--uses'],
    ['join-link --ttl 15', '90s, 15m'],
    ['join-link --uses', '--uses'],
    ['keys create', '--name is missing'],
    ['keys revoke', 'ID is missing'],
    ['keys revoke a b', "'b' is too much"],
    ['models add a hf:org/repo', 'the file has to be named'],
    ['usage --jsn', 'did you mean --json?'],
  ])('%s', async (line, hint) => {
    const { code, out, note } = await admin(line)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(note).toContain(hint)
  })
})

describe('--help', () => {
  test('lists the commands, of all or of one group, within 80 columns', async () => {
    const all = await admin('--help')
    expect(all.code).toBe(0)
    tableFits(all.out)
    expect(all.out).toContain('models add NAME SOURCE')
    const group = await admin('keys --help')
    expect(group.out).toContain('keys revoke ID')
    expect(group.out).not.toContain('models')
  })

  test('shows a command’s options and examples, and needs no server', async () => {
    const { code, out } = await admin('models add --help', {})
    expect(code).toBe(0)
    expect(out).toContain('--context N')
    expect(out).toContain('hf:Qwen/')
  })
})

test('the program itself exits with the command’s code and keeps the streams apart', async () => {
  const run = async (...words: string[]) => {
    const env = { PATH: process.env['PATH'] ?? '', GPUPOOL_URL: url, GPUPOOL_ADMIN_KEY: adminKey }
    const main = join(import.meta.dir, 'main.ts')
    const child = Bun.spawn([process.execPath, main, ...words], {
      env,
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()])
    return { code: await child.exited, out, err }
  }
  expect(await run('join-link')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^https:\S+\n$/),
  })
  expect(await run('keys', 'revoke', 'nosuchid')).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringContaining('error:'),
  })
  expect((await run('nonsense')).code).toBe(2)
}, 30_000)

import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { findPostgresBinaries } from './postgres-binaries.ts'

/** A PostgreSQL server of this test process alone. */
export type TestPostgres = {
  /** As a user who may do everything. */
  readonly url: string
  /** Makes an empty database. @returns its URL */
  readonly createDatabase: (name: string) => Promise<string>
  readonly stop: () => Promise<void>
}

const superuser = 'gpupool'
/** With characters that a URL must encode. */
const password = 'only for tests / and never shown?'
const portAttemptsMax = 3

/**
 * Starts a real PostgreSQL in a fresh folder. Where none can be had it says so on stderr and answers undefined, so that
 * the tests are skipped; with `CI` set it throws instead, since a promise nobody checked must not look kept.
 */
export async function startPostgres(): Promise<TestPostgres | undefined> {
  const found = findPostgresBinaries()
  const account = unprivilegedAccount()
  const missing = 'missing' in found ? found.missing : account?.missing
  if ('folder' in found && missing === undefined) return startServer(found.folder, account)
  if (process.env['CI'] !== undefined) throw new Error(`PostgreSQL is needed here: ${missing}`)
  process.stderr.write(`\nSKIPPED: everything that needs PostgreSQL. ${missing}\n\n`)
  return undefined
}

type Account = { readonly name: string; readonly uid: number; readonly gid: number }

/** PostgreSQL refuses to run as root. @returns undefined when this process may start it as it is */
function unprivilegedAccount():
  (Account & { missing?: undefined }) | { missing: string } | undefined {
  if (process.getuid?.() !== 0) return undefined
  if (Bun.which('setpriv') === null)
    return { missing: 'root needs setpriv to start it as another user' }
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map(what => Bun.spawnSync(['id', what, name]).stdout.toString())
    if (uid && gid) return { name, uid: Number(uid), gid: Number(gid) }
  }
  return { missing: 'there is no unprivileged user to start it as' }
}

async function startServer(
  binaries: string,
  account: Account | { missing: string } | undefined,
): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'gpupool-postgres-'))
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, password)
  const prefix: string[] = []
  if (account !== undefined && 'uid' in account) {
    const { uid, gid } = account
    for (const path of [folder, passwordFile]) chownSync(path, uid, gid)
    prefix.push('setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups')
  }
  const program = (name: string) => [...prefix, join(binaries, name)]
  const data = join(folder, 'data')
  const storage = ['-D', data, '--locale=C', '--encoding=UTF8', '--no-sync']
  const login = ['-U', superuser, '-A', 'scram-sha-256', '--pwfile', passwordFile]
  const initdb = Bun.spawnSync([...program('initdb'), ...storage, ...login], { cwd: folder })
  if (initdb.exitCode !== 0) throw new Error(`initdb failed: ${initdb.stderr.toString()}`)
  const { port, server } = await listen(program('postgres'), folder, data)

  const urlOf = (database: string) =>
    `postgres://${superuser}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`
  return {
    url: urlOf('postgres'),
    async createDatabase(name) {
      const sql = postgres(urlOf('postgres'), { max: 1 })
      await sql`create database ${sql(name)}`
      await sql.end()
      return urlOf(name)
    },
    async stop() {
      // SIGINT: ends open sessions and shuts down in order.
      server.kill('SIGINT')
      await server.exited
      rmSync(folder, { recursive: true })
    },
  }
}

/** PostgreSQL cannot pick a free port itself, so one is picked for it, and another when it was taken meanwhile. */
async function listen(program: readonly string[], folder: string, data: string) {
  const logs: string[] = []
  for (let attempt = 0; attempt < portAttemptsMax; attempt += 1) {
    const port = freePort()
    const settings = [
      'listen_addresses=127.0.0.1',
      `port=${port}`,
      `unix_socket_directories=${folder}`,
      // Nothing here has to survive anything.
      'fsync=off',
      'synchronous_commit=off',
      'full_page_writes=off',
    ].flatMap(setting => ['-c', setting])
    const server = Bun.spawn([...program, '-D', data, ...settings], {
      cwd: folder,
      stdout: 'ignore',
      stderr: 'pipe',
    })
    const log = await readUntil(server.stderr, 'database system is ready to accept connections')
    if (log === undefined) return { port, server }
    logs.push(log)
  }
  throw new Error(`PostgreSQL does not start:\n${logs.join('\n')}`)
}

function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
  const { port } = listener
  listener.stop(true)
  return port
}

/** @returns undefined once `line` was seen, everything that was read when the stream ended without it */
async function readUntil(
  stream: ReadableStream<Uint8Array>,
  line: string,
): Promise<string | undefined> {
  const decoder = new TextDecoder()
  const reader = stream.getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text
    text += decoder.decode(value, { stream: true })
    if (text.includes(line)) break
  }
  // A server whose log nobody reads blocks once the pipe is full.
  const drain = async () => {
    while (!(await reader.read()).done);
  }
  void drain()
  return undefined
}

import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileAgent, type CompiledAgent } from '../script/build-agent/compile-agent.ts'
import { hostTarget } from '../script/build-agent/targets.ts'
import { Cluster } from './support/cluster.ts'
import { event, Program } from './support/program.ts'

/** An ordinary user, when the tests run as root. */
const uid = process.getuid?.() === 0 ? 65_534 : null
/** The first build in a checkout fetches 70 MB of packages. */
const buildTimeoutMs = 300_000
/** Fast to make; the executable differs from the real one in size alone. */
const level = 1

let cluster: Cluster
let built: CompiledAgent
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpupool-one-file-'))
  chmodSync(folder, 0o755)
  const target = hostTarget()
  if (target === undefined) throw new Error('there is no executable for this machine')
  const building = compileAgent({ target, outDir: join(folder, 'bin'), level, cuda: null })
  ;[cluster, built] = await Promise.all([Cluster.start(), building])
  await cluster.addDemoModel()
}, buildTimeoutMs)
afterAll(async () => {
  await cluster.close()
  rmSync(folder, { recursive: true, force: true })
})

const programs: Program[] = []
afterEach(async () => {
  for (const program of programs.splice(0)) await program.kill()
})

/** An empty folder of the ordinary user. */
function emptyFolder(name: string): string {
  const path = join(folder, name)
  mkdirSync(path, { recursive: true })
  if (uid !== null) chownSync(path, uid, uid)
  return path
}

/** Starts the file with nothing around it: an empty folder, an empty home, no programs (so no Bun), no node_modules. */
function agent(name: string, home: string, args: readonly string[]): Program {
  const cwd = emptyFolder(`${name}-cwd`)
  // Were these read, the agent would fail: a stranger's folder configures nothing.
  writeFileSync(join(cwd, '.env'), 'GPUPOOL_LOG_LEVEL=nonsense\n')
  writeFileSync(join(cwd, 'bunfig.toml'), 'preload = ["./missing.ts"]\n')
  const env = {
    PATH: emptyFolder('no-programs'),
    HOME: home,
    GPUPOOL_AGENT_DIR: join(emptyFolder(`${name}-state`), 'agent'),
    GPUPOOL_AGENT_THREADS: '1',
    GPUPOOL_AGENT_CALIBRATE: 'off',
  }
  const program = new Program(name, args, {}, { executable: built.path, cwd, uid, env })
  programs.push(program)
  return program
}

async function join_(name: string, home: string): Promise<void> {
  const { link } = await cluster.admin<{ link: string }>('POST', '/admin/join-links', {
    autoApprove: true,
  })
  const joining = agent(name, home, ['join', link, '--name', name])
  if ((await joining.exited) !== 0) throw new Error(joining.output)
}

const cacheOf = (home: string): string => join(home, '.cache', 'gpupool-agent')
const packsIn = (cache: string): string[] =>
  readdirSync(cache).filter(name => /^(?:runtime|unfinished)-[^.]+$/.test(name))
const ownPack = (): string => `runtime-${built.facts.runtimeManifestSha256.slice(0, 16)}`
/** The kernel's word for it: the effective user of a process. */
const userOf = (pid: number): number =>
  Number(/^Uid:\s+\d+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
const says = (text: string) => (line: string) => line.includes(text)

test('from an empty folder with an empty home it joins, answers a chat, and unpacks once', async () => {
  const home = emptyFolder('home-first')
  await join_('first', home)
  const first = agent('first', home, ['run'])
  await first.line(event('online'))
  expect(first.output).toContain('engine unpacked')
  if (uid !== null && process.platform === 'linux')
    expect(userOf(first.pid), 'not as root').toBe(uid)
  expect(await cluster.ask('What is a GPU pool?')).toContain('GPU')
  expect(packsIn(cacheOf(home))).toEqual([ownPack()])
  await first.stop()

  const again = agent('first', home, ['run'])
  await again.line(event('online'))
  expect(again.output).toContain('engine ready')
  expect(again.output).not.toContain('engine unpacked')
  await again.stop()
})

test('a half-written cache is repaired, what killed agents left is removed, other versions go', async () => {
  const home = emptyFolder('home-half')
  await join_('half', home)
  const first = agent('half', home, ['run'])
  await first.line(event('online'))
  await first.kill()

  const cache = cacheOf(home)
  truncateSync(join(cache, ownPack(), 'node_modules', 'node-llama-cpp', 'dist', 'index.js'), 10)
  rmSync(join(cache, ownPack(), 'worker', 'main.js'))
  mkdirSync(join(cache, 'unfinished-abcdef'))
  const old = join(cache, 'runtime-0123456789abcdef')
  mkdirSync(old)
  if (uid !== null) chownSync(old, uid, uid)
  const second = agent('half', home, ['run'])
  await second.line(event('online'))
  expect(second.output).toContain('engine repaired')
  expect(packsIn(cache)).toEqual([ownPack()])
  expect(await cluster.ask('What is a GPU pool?')).toContain('GPU')
  expect(second.output).not.toContain('"level":50')
})

test('two that start at once share one unpacked engine', async () => {
  const home = emptyFolder('home-two')
  await join_('left', home)
  await join_('right', home)
  const both = [agent('left', home, ['run']), agent('right', home, ['run'])]
  await Promise.all(both.map(each => each.line(event('online'))))
  const unpacked = both.filter(each => each.output.includes('engine unpacked'))
  expect(unpacked).toHaveLength(1)
  expect(packsIn(cacheOf(home))).toEqual([ownPack()])
  const answers = await Promise.all([1, 2].map(() => cluster.ask('What is a GPU pool?')))
  for (const answer of answers) expect(answer).toContain('GPU')
})

test('where the home cannot be written the engine lies with the agent’s state', async () => {
  const home = join(folder, 'home-read-only')
  mkdirSync(home, { mode: 0o555 })
  await join_('homeless', home)
  const homeless = agent('homeless', home, ['run'])
  await homeless.line(event('online'))
  expect(packsIn(join(folder, 'homeless-state', 'agent', 'cache'))).toEqual([ownPack()])
})

test('it says what it is', async () => {
  const home = emptyFolder('home-version')
  const version = agent('version', home, ['version'])
  expect(await version.exited).toBe(0)
  await version.line(says('commit'))
  expect(version.output).toContain('protocol  1')
  expect(version.output).toContain(`build     ${built.facts.target}`)

  const licenses = Bun.spawnSync([built.path, 'licenses'], { env: {} }).stdout.toString()
  for (const part of ['gpupool', 'Bun', 'llama.cpp', 'node-llama-cpp', 'pino'])
    expect(licenses).toMatch(new RegExp(`^${part} \\S+ \\(`, 'm'))

  const probe = agent('probe', home, ['probe', '--json'])
  const report = JSON.parse(await probe.line(line => line.startsWith('{')))
  expect(report.inventory).toMatchObject({ arch: process.arch, gpus: expect.any(Array) })
  expect(existsSync(cacheOf(home)), 'neither of them needs the engine').toBe(false)
  expect(readFileSync(built.path).length).toBeLessThan(160e6)
})

test('its doctor unpacks the engine and starts it', async () => {
  const home = emptyFolder('home-doctor')
  const doctor = agent('doctor', home, ['doctor', '--json'])
  const report = JSON.parse(await doctor.line(line => line.startsWith('{')))
  expect(report.findings).toContainEqual({
    check: 'engine',
    status: 'ok',
    text: expect.stringMatching(/^llama\.cpp runs on .*no model is here to compute with$/),
    todo: null,
  })
  expect(packsIn(cacheOf(home))).toEqual([ownPack()])
})

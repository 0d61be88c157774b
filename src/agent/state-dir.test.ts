import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newAgentId } from '../protocol/ids.ts'
import { takeAgentLock } from './agent-lock.ts'
import {
  defaultStateDir,
  prepareStateDir,
  readEnrolment,
  readOrMakeKey,
  removeEnrolment,
  StateError,
  writeEnrolment,
  type Identity,
} from './state-dir.ts'

let dir = ''
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'gpupool-state-')), 'agent')
  prepareStateDir(dir)
})
afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }))

const identity: Identity = {
  agentId: newAgentId(),
  origin: 'https://pool.example.org:8444',
  controlPort: 8443,
  caFingerprint: 'x'.repeat(43),
  apiKey: 'gpt_agt_secret',
  name: 'desk',
  region: null,
}

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

describe('the state directory', () => {
  test('is where the operating system keeps such things, unless told otherwise', () => {
    expect(defaultStateDir({}, 'linux', '/home/a')).toBe('/home/a/.local/state/gpupool-agent')
    expect(defaultStateDir({ XDG_STATE_HOME: '/s' }, 'linux', '/home/a')).toBe('/s/gpupool-agent')
    expect(defaultStateDir({}, 'darwin', '/Users/a')).toBe(
      '/Users/a/Library/Application Support/gpupool-agent',
    )
    expect(defaultStateDir({ LOCALAPPDATA: '/L' }, 'win32', '/U')).toBe('/L/gpupool-agent')
    expect(defaultStateDir({ GPUPOOL_AGENT_DIR: '/x' }, 'darwin', '/Users/a')).toBe('/x')
  })

  test('gives back the enrolment that was written, readable by its owner alone', () => {
    const key = readOrMakeKey(dir)
    writeEnrolment(dir, identity, 'CA')
    expect(readEnrolment(dir)).toEqual({ identity, privateKeyPem: key, caPem: 'CA' })
    expect(mode(dir)).toBe('700')
    for (const name of ['agent.json', 'key.pem', 'ca.pem'])
      expect(mode(join(dir, name))).toBe('600')
    expect(readdirSync(dir).filter(name => name.endsWith('.new'))).toEqual([])
  })

  test('keeps the key that is there', () => {
    expect(readOrMakeKey(dir)).toBe(readOrMakeKey(dir))
  })

  test('has no enrolment before joining and after leaving; model files stay', () => {
    expect(readEnrolment(dir)).toBeUndefined()
    readOrMakeKey(dir)
    writeEnrolment(dir, identity, 'CA')
    writeFileSync(join(dir, 'models', 'a.gguf'), 'weights')
    removeEnrolment(dir)
    expect(readEnrolment(dir)).toBeUndefined()
    expect(existsSync(join(dir, 'models', 'a.gguf'))).toBe(true)
  })

  test('that is damaged is an error with advice, not an agent without identity', () => {
    writeFileSync(join(dir, 'agent.json'), '{"agentId":')
    expect(() => readEnrolment(dir)).toThrow(/damaged.*leave/)
    writeEnrolment(dir, identity, 'CA')
    expect(() => readEnrolment(dir)).toThrow(StateError)
  })

  test('that cannot be made is an error that names it', () => {
    const file = join(dir, 'file')
    writeFileSync(file, '')
    expect(() => prepareStateDir(join(file, 'agent'))).toThrow(
      /state directory .*file\/agent cannot/,
    )
  })

  test('that cannot be read says so', () => {
    mkdirSync(join(dir, 'agent.json'))
    expect(() => readEnrolment(dir)).toThrow(/agent\.json cannot be read/)
  })
})

describe('the lock of the state directory', () => {
  test('is refused to a second holder, with the pid of the first, and free after release', () => {
    const first = takeAgentLock(dir)
    if (!('lock' in first)) throw new Error('the lock was not free')
    expect(takeAgentLock(dir)).toEqual({ ownerPid: process.pid })
    first.lock.release()
    const second = takeAgentLock(dir)
    expect('lock' in second).toBe(true)
    if ('lock' in second) second.lock.release()
  })

  test('goes with its process, also when that is killed', async () => {
    const script = `
      import { takeAgentLock } from ${JSON.stringify(join(import.meta.dir, 'agent-lock.ts'))}
      const taken = 'lock' in takeAgentLock(${JSON.stringify(dir)})
      Bun.gc(true)
      console.log(taken)
      setInterval(() => {}, 1000)`
    const holder = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe' })
    try {
      const { value } = await holder.stdout.getReader().read()
      expect(new TextDecoder().decode(value)).toBe('true\n')
      expect(takeAgentLock(dir)).toEqual({ ownerPid: holder.pid })
    } finally {
      holder.kill('SIGKILL')
      await holder.exited
    }
    const mine = takeAgentLock(dir)
    expect('lock' in mine).toBe(true)
    if ('lock' in mine) mine.lock.release()
  })
})

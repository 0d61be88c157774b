import { afterAll, beforeAll, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { pino } from 'pino'
import { agentLimits } from '../src/agent/agent-limits.ts'
import { createTestAuthority, type TestAuthority } from '../src/agent/certificates-for-tests.ts'
import { ModelFiles } from '../src/agent/model-files.ts'
import type { Timers } from '../src/agent/timers.ts'
import type { ModelManifest, ModelSource } from '../src/models/manifest.ts'
import { newAgentId } from '../src/protocol/ids.ts'
import { FaultyFileServer, type Fault } from './support/faulty-file-server.ts'

const rounds = Number(process.env['GPUPOOL_TEST_DOWNLOAD_ROUNDS'] ?? 60)
const never = new AbortController().signal

/** Pauses take one turn; stall deadlines pass when the server says that it hangs. */
class TurnTimers implements Timers {
  readonly #stalls = new Set<() => void>()

  after(ms: number, callback: () => void): () => void {
    if (ms === agentLimits.downloadStallMs) {
      this.#stalls.add(callback)
      return () => this.#stalls.delete(callback)
    }
    const turn = setImmediate(callback)
    return () => clearImmediate(turn)
  }

  readonly passDeadlines = () => this.#stalls.forEach(callback => callback())
}

const contentOf = (sizeBytes: number) =>
  new Uint8Array(sizeBytes).map((_, at) => (at * 31 + (at >> 8)) & 255)

const manifestOf = (content: Uint8Array): ModelManifest => ({
  name: 'demo',
  sha256: new Bun.CryptoHasher('sha256').update(content).digest('hex'),
  sizeBytes: content.length,
  architecture: 'llama',
  quantisation: null,
  contextTokensTrained: 512,
  chatTemplateSha256: null,
})

let authority: TestAuthority
let tls: { cert: string; key: string }
beforeAll(async () => {
  authority = await createTestAuthority()
  tls = await authority.issue('127.0.0.1')
})

function agentOn(modelsDir: string, origin: string, timers: Timers): ModelFiles {
  const identity = { agentId: newAgentId(), apiKey: 'gpt_agt_key', origin }
  const log = pino({ level: 'silent' })
  return new ModelFiles({ modelsDir, identity, caPem: authority.caPem, timers, log })
}

const at = fc.double({ min: 0, max: 1, noNaN: true })
const placed = fc.record({
  kind: fc.constantFrom(
    'cut',
    'stall',
    'restart',
    'flipped_byte',
    'truncated',
    'no_range',
  ) satisfies fc.Arbitrary<Fault['kind']>,
  at,
})
const plain = fc.record({
  kind: fc.constantFrom(
    'wrong_length',
    'wrong_range',
    'redirect',
    'redirect_loop',
    'busy',
    'garbage',
  ) satisfies fc.Arbitrary<Fault['kind']>,
})
const plan = fc.array(fc.oneof(placed, plain), { maxLength: 8 })

test(
  'whatever goes wrong on the way, a file is whole or not there, and comes once the server is well',
  async () => {
    const content = contentOf(200_003)
    const manifest = manifestOf(content)
    const timers = new TurnTimers()
    const server = new FaultyFileServer({ tls, content, onStalled: timers.passDeadlines })
    await server.listen()
    const source = (): ModelSource => ({ kind: 'url', url: `/models/${manifest.sha256}` })
    const round = async (faults: Fault[], agents: number, sources: number) => {
      const dir = mkdtempSync(join(tmpdir(), 'gpupool-torture-'))
      const path = join(dir, `${manifest.sha256}.gguf`)
      try {
        server.faults = [...faults]
        const wanted = { manifest, sources: Array.from({ length: sources }, source) }
        const all = Array.from({ length: agents }, () => agentOn(dir, server.origin, timers))
        const obtainAll = () => Promise.all(all.map(agent => agent.obtain(wanted, () => {}, never)))
        for (const found of await obtainAll()) {
          if ('path' in found) expect(readFileSync(found.path).equals(content)).toBe(true)
          else expect(found.message.length).toBeGreaterThan(10)
        }
        if (existsSync(path)) expect(readFileSync(path).equals(content)).toBe(true)
        server.faults = []
        for (const found of await obtainAll()) expect(found).toEqual({ path })
        expect(readFileSync(path).equals(content)).toBe(true)
        const left = readdirSync(dir).filter(name => name !== 'hashes.json')
        expect(left).toEqual([`${manifest.sha256}.gguf`])
      } finally {
        rmSync(dir, { recursive: true, force: true })
      }
    }
    const counts = [fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 3 })] as const
    try {
      await fc.assert(fc.asyncProperty(plan, ...counts, round), { numRuns: rounds })
    } finally {
      await server.stop()
    }
  },
  rounds * 1_000,
)

/** A disk of its own; only root can make one, and not in every container. */
function mountSmallDisk(dir: string, megabytes: number): boolean {
  const command = ['mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir]
  try {
    return Bun.spawnSync(command, { stdout: 'ignore', stderr: 'ignore' }).exitCode === 0
  } catch {
    return false
  }
}

const disk = mkdtempSync(join(tmpdir(), 'gpupool-disk-'))
const mounted = mountSmallDisk(disk, 8)
if (!mounted) console.log('no small disk can be mounted here (not root?): a full one is not tried')
afterAll(() => {
  if (mounted) Bun.spawnSync(['umount', disk])
  rmSync(disk, { recursive: true, force: true })
})

test.skipIf(!mounted)(
  'a disk that fills up on the way leaves no half file, and words that say what to do',
  async () => {
    const content = contentOf(6 * 1024 ** 2)
    const manifest = manifestOf(content)
    const timers = new TurnTimers()
    const filler = join(disk, 'filler')
    const server = new FaultyFileServer({
      tls,
      content,
      onStalled: timers.passDeadlines,
      onHalfway: async () => writeFileSync(filler, new Uint8Array(3 * 1024 ** 2)),
    })
    await server.listen()
    try {
      const agent = agentOn(disk, server.origin, timers)
      const wanted = { manifest, sources: [{ kind: 'url', url: '/models/x' } as const] }
      const full = {
        code: 'model_load_failed',
        message: expect.stringMatching(/disk is full.*free some space there/),
      }
      expect(await agent.obtain(wanted, () => {}, never)).toMatchObject(full)
      expect(readdirSync(disk)).toEqual(['filler'])
      // Now it is known before anything is sent.
      const { requests } = server
      expect(await agent.obtain(wanted, () => {}, never)).toMatchObject(full)
      expect(server.requests).toBe(requests)
    } finally {
      await server.stop()
    }
  },
)

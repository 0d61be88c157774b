import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CatalogueAnswer } from '../../protocol/catalogue.ts'
import { checkDisk, type DiskPlace } from './check-disk.ts'
import { checkMemory, type MemoryFacts } from './check-memory.ts'
import { gatherDisk, roomForModels } from './gather-disk.ts'

const gib = 1024 ** 3

describe('memory', () => {
  const check = (change: Partial<MemoryFacts>) =>
    checkMemory({
      totalBytes: 32 * gib,
      availableBytes: 20 * gib,
      limitBytes: null,
      limitCpus: null,
      ...change,
    })[0]

  test('enough is well, little is a warning, next to nothing fails', () => {
    expect(check({})).toMatchObject({ status: 'ok', text: '20.0 GB of 32.0 GB are free' })
    expect(check({ availableBytes: 4 * gib })).toMatchObject({ status: 'warning' })
    expect(check({ availableBytes: 0.5 * gib })).toMatchObject({ status: 'failing' })
  })

  test("a container's limit is told, and is what to raise", () => {
    const limited = { limitBytes: 2 * gib, limitCpus: 1.5, availableBytes: gib / 2 }
    expect(check(limited)?.text).toContain('allows 2.0 GB, and 1.5 processors')
    expect(check(limited)?.todo).toContain('raise the memory limit')
  })
})

describe('disk', () => {
  const check = (change: Partial<DiskPlace>) =>
    checkDisk([
      {
        what: 'models',
        path: '/var/models',
        obstacle: null,
        freeBytes: 100 * gib,
        neededBytes: 6 * gib,
        neededFor: 'an 8B model',
        ...change,
      },
    ])[0]

  test('room is well, too little for the next model a warning, none a failure', () => {
    expect(check({})).toMatchObject({
      status: 'ok',
      text: 'models in /var/models: 100.0 GB free',
    })
    expect(check({ freeBytes: 5 * gib })).toMatchObject({
      status: 'warning',
      text: 'models in /var/models: 5.0 GB free, 6.0 GB needed for an 8B model',
    })
    expect(check({ freeBytes: 1e6 })).toMatchObject({ status: 'failing' })
  })

  test('a folder that cannot be written fails with the setting that moves it', () => {
    expect(check({ obstacle: 'the file system is read-only' })).toMatchObject({
      status: 'failing',
      todo: expect.stringContaining('GPUPOOL_AGENT_DIR'),
    })
    expect(check({ what: 'cache', obstacle: 'permission denied' })?.todo).toContain(
      'GPUPOOL_AGENT_CACHE_DIR',
    )
    expect(check({ freeBytes: null })?.status).toBe('warning')
  })

  const question = { cacheDir: null, wantsCuda: false, catalogue: null }

  test('a folder that is not there yet is judged by the one that would hold it, and is not made', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'gpupool-doctor-'))
    const [place] = await gatherDisk({ ...question, stateDir: join(dir, 'new', 'agent') })
    expect(place).toMatchObject({ obstacle: null, freeBytes: expect.any(Number) })
    expect(await Bun.file(join(dir, 'new')).exists()).toBe(false)
    rmSync(dir, { recursive: true })
  })

  test('a place that cannot be a folder is an obstacle, for root too', async () => {
    const [place] = await gatherDisk({ ...question, stateDir: '/dev/null/agent' })
    expect(place).toMatchObject({ obstacle: expect.any(String), freeBytes: null })
  })

  test('the room needed is that of the largest model that is not here', () => {
    const model = (name: string, sha: string, sizeBytes: number) => ({
      manifest: {
        name,
        sha256: sha.repeat(64),
        sizeBytes,
        architecture: 'llama',
        quantisation: null,
        contextTokensTrained: 1024,
        chatTemplateSha256: null,
      },
      contextTokens: 1024,
      slots: 1,
    })
    const catalogue: CatalogueAnswer = {
      models: [model('small', 'a', 1 * gib), model('large', 'b', 9 * gib)],
      leftOut: 0,
    }
    expect(roomForModels(catalogue, new Set())).toMatchObject({
      neededBytes: 9.25 * gib,
      neededFor: expect.stringContaining('large'),
    })
    const held = new Set([`${'b'.repeat(64)}.gguf`])
    expect(roomForModels(catalogue, held).neededFor).toContain('small')
    expect(roomForModels(null, new Set()).neededFor).toBe('an 8B model')
  })
})

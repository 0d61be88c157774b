import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileVictim, type Outcome } from './support/file-victim.ts'
import { hostileFile, hostileKinds } from './support/hostile-files.ts'

/** `bun run test:hostile-files` asks for a thousand. */
const count = Number(process.env['GPUPOOL_TEST_HOSTILE_FILES'] ?? 25)
/** From here on three of the first 25 end their workers with the engine of today. */
const firstSeed = Number(process.env['GPUPOOL_TEST_HOSTILE_SEED'] ?? 22)
const good = readFileSync(join(import.meta.dir, '../models/demo/gpupool-demo.gguf'))

let dir: string
let victim: FileVictim

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-hostile-'))
  victim = new FileVictim(dir)
})
afterAll(async () => {
  await victim.close()
  rmSync(dir, { recursive: true })
})

test(
  'spoilt model files are refused, cut when they hang, put into quarantine or do no harm; a good one loads afterwards',
  async () => {
    const tally: Record<Outcome, number> = {
      served: 0,
      'load failed': 0,
      'job failed': 0,
      quarantined: 0,
    }
    for (let seed = firstSeed; seed < firstSeed + count; seed++) {
      const { bytes, kind } = hostileFile(seed)
      const before = victim.deaths + victim.hangs
      const outcome = await victim.take(bytes)
      tally[outcome]++
      if (victim.deaths + victim.hangs > before) console.log(`seed ${seed} (${kind}): ${outcome}`)
    }
    const sum = Object.values(tally).reduce((total, each) => total + each, 0)
    expect(sum).toBe(count)
    // A campaign that spoils nothing would promise nothing.
    if (count >= 25) expect(tally['load failed']).toBeGreaterThan(count / 4)
    console.log(JSON.stringify({ ...tally, deaths: victim.deaths, hangs: victim.hangs }))
    expect(await victim.take(good)).toBe('served')
  },
  Math.max(60_000, count * 10_000),
)

test('the same seed spoils a file in the same way, and every way is tried', () => {
  const kinds = Array.from({ length: 25 }, (_, seed) => hostileFile(seed).kind)
  expect(new Set(kinds).size).toBe(hostileKinds.length)
  for (let seed = 0; seed < 12; seed++) {
    expect(hostileFile(seed).bytes).toEqual(hostileFile(seed).bytes)
    expect(Buffer.compare(hostileFile(seed).bytes, good)).not.toBe(0)
  }
})

import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { forbidden } from './forbidden.ts'
import { runSeed } from './run-seed.ts'
import { knownSeeds } from './known-seeds.ts'
import { agentsOf, shortHours } from './small-world.ts'

/** Worlds that `npm test` runs; `bun run simulate --seeds 10000` and .ci/run run more. */
const seedsAtATime = 50
const firstSeeds = Array.from({ length: 10 }, (_, n) => 1 + n * seedsAtATime)
/** A world takes 20 ms, and many times that on a machine that has much else to do. */
const timeoutMs = 120_000

const run = (seed: number) =>
  runSeed({ seed, agents: agentsOf(seed), hours: shortHours, tell: null })

describe('whatever goes wrong, nothing that is promised is broken', () => {
  test.each(firstSeeds)(
    'in the worlds from seed %p on',
    first => {
      const broken: string[] = []
      for (let seed = first; seed < first + seedsAtATime; seed++) {
        const { violation } = run(seed)
        if (violation !== null) broken.push(`bun run simulate --seed ${seed}: ${violation}`)
      }
      expect(broken).toEqual([])
    },
    timeoutMs,
  )

  test.each(knownSeeds)('in a world that once broke it: $reason', world => {
    expect(runSeed({ ...world, tell: null }).violation).toBeNull()
  })
})

describe('a seed is a world', () => {
  test('the same seed gives the same trace, whether or not somebody listens', () => {
    const lines: string[] = []
    const first = run(11)
    const again = runSeed({
      seed: 11,
      agents: agentsOf(11),
      hours: shortHours,
      tell: line => lines.push(line),
    })
    expect(again).toEqual(first)
    expect(lines.length).toBeGreaterThan(10)
    expect(run(12).traceHash).not.toBe(first.traceHash)
  })

  test(
    'also in another process',
    async () => {
      const main = join(import.meta.dir, 'main.ts')
      const child = Bun.spawn([process.execPath, main, '--seed', '11', '--json'], {
        stdout: 'pipe',
        stderr: 'inherit',
      })
      expect(JSON.parse(await child.stdout.text())).toEqual(run(11) as never)
      expect(await child.exited).toBe(0)
    },
    timeoutMs,
  )

  test(
    'much happens in it',
    () => {
      const counts = Array.from({ length: 40 }, (_, seed) => run(seed).counts)
      const sum = (name: keyof (typeof counts)[0]) =>
        counts.reduce((total, count) => total + count[name], 0)
      for (const name of [
        'finished',
        'failed',
        'cancelled',
        'cut',
        'serverDeaths',
        'faults',
      ] as const)
        expect(sum(name), name).toBeGreaterThan(0)
      expect(sum('finished')).toBeGreaterThan(sum('requests') / 2)
    },
    timeoutMs,
  )
})

test('a clock, a timer and a random number from outside end the run', () => {
  const uses: readonly (() => unknown)[] = [
    () => Date.now(),
    () => performance.now(),
    () => Math.random(),
    () => crypto.randomUUID(),
    () => crypto.getRandomValues(new Uint8Array(1)),
    () => setInterval(() => {}, 1),
    () => fetch('http://127.0.0.1'),
  ]
  for (const use of uses) expect(() => forbidden(use)).toThrow('was used in a simulated world')
  expect(typeof Date.now()).toBe('number')
})

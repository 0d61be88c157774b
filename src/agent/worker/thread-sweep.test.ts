import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { ThreadSweep, worth, type ThreadPoint } from './thread-sweep.ts'

const point = (threads: number, tokensPerS: number): ThreadPoint => ({
  threads,
  decodeTokensPerS: tokensPerS,
  prefillTokensPerS: 4 * tokensPerS,
})

/** Sweeps a machine on which `speed` tells the tokens per second of the nth measurement of a count. */
function sweepOf(threadsMax: number, speed: (threads: number, time: number) => number) {
  const sweep = new ThreadSweep(threadsMax)
  const measured: number[] = []
  for (let next = sweep.next(); next !== null; next = sweep.next()) {
    const times = measured.filter(threads => threads === next).length
    measured.push(next)
    sweep.add(point(next, speed(next, times)))
  }
  return { choice: sweep.choice, measured }
}

/** Memory is used up at `knee` threads; more than `free` cores is the cliff. */
const machine =
  (knee: number, free = Infinity) =>
  (threads: number): number =>
    threads > free ? 3 : 10 * Math.min(threads, knee)

test('a small machine is measured whole', () => {
  expect(sweepOf(2, machine(2)).choice).toBe(2)
  expect(sweepOf(1, machine(1))).toEqual({ choice: 1, measured: [1, 1] })
  expect(sweepOf(4, machine(4)).choice).toBe(4)
  expect(sweepOf(3, machine(3)).choice).toBe(3)
})

test('comes from below and goes no further than the peak', () => {
  const { choice, measured } = sweepOf(64, machine(64, 12))
  expect(Math.max(...measured)).toBe(16)
  expect(choice).toBe(12)
})

test('fewer threads win where more bring nothing', () => {
  const { choice } = sweepOf(32, machine(6))
  expect(choice).toBeLessThanOrEqual(8)
})

test('what was chosen is measured again, and a lucky measurement chooses no count that collapses', () => {
  const lucky = (threads: number, time: number) =>
    threads === 2 ? (time === 0 ? 100 : 3) : 10 * threads
  expect(sweepOf(2, lucky).choice).toBe(1)
  for (const threadsMax of [1, 2, 8]) {
    const { choice, measured } = sweepOf(threadsMax, machine(4))
    expect(measured.filter(threads => threads === choice).length).toBeGreaterThan(1)
  }
})

test('one moment of somebody else’s work is not taken for the cliff', () => {
  const disturbed = (threads: number, time: number) =>
    threads === 2 && time === 0 ? 4 : machine(8)(threads)
  expect(sweepOf(8, disturbed).choice).toBe(8)
})

test('a count on which nobody even tried a prompt is worth nothing', () => {
  expect(worth({ threads: 2, decodeTokensPerS: 9, prefillTokensPerS: null })).toBe(0)
  const sweep = new ThreadSweep(2)
  expect(sweep.choice).toBe(1)
  sweep.add({ threads: 2, decodeTokensPerS: 9, prefillTokensPerS: null })
  expect(sweep.choice).toBe(1)
})

test('on any machine with a peak and a cliff it is bounded and chooses at least 0.8 of the best', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 256 }),
      fc.integer({ min: 1, max: 256 }),
      fc.integer({ min: 1, max: 256 }),
      (cores, knee, free) => {
        const speed = machine(Math.min(knee, cores), free)
        const { choice, measured } = sweepOf(cores, speed)
        const best = Math.max(...Array.from({ length: cores }, (_, at) => speed(at + 1)))
        expect(measured.length).toBeLessThanOrEqual(20)
        expect(choice).toBeGreaterThanOrEqual(1)
        expect(choice).toBeLessThanOrEqual(cores)
        expect(speed(choice) / best).toBeGreaterThanOrEqual(0.8)
      },
    ),
  )
})

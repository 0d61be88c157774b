import { limits } from '../protocol/limits.ts'
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { judgeDriver, type DriverJudgement } from './driver-blacklist.ts'
import {
  judgeEligibility,
  modelMemoryMb,
  thermalEventsMax,
  type EligibilityFacts,
  type PredicateName,
} from './eligibility.ts'
import { noOutcomes, observeOutcome, type ErrorWindow } from './error-window.ts'
import { noThermalEvents, observeHeat, thermalQuietMs } from './thermal-window.ts'

const now = 1_700_000_000_000

const driverAt = (driverVersion: string | null): DriverJudgement =>
  judgeDriver({
    os: 'linux',
    versions: { driver: driverVersion },
    vendor: 'nvidia',
    kind: 'discrete',
    gfxTarget: null,
    backends: ['cuda'],
    gpus: 2,
  })
const hot = (events: number) =>
  Array.from({ length: events }, (_, at) => now - (10 - at) * (thermalQuietMs + 1)).reduce(
    (window, at) => observeHeat(window, true, at),
    noThermalEvents,
  )
const outcomes = (failed: number, ok: number): ErrorWindow =>
  Array.from({ length: failed + ok }).reduce<ErrorWindow>(
    (window, _, at) => observeOutcome(window, at >= failed, now),
    noOutcomes,
  )

const good: EligibilityFacts = {
  gpu: {
    vendor: 'nvidia',
    kind: 'discrete',
    name: 'NVIDIA GeForce RTX 3090',
    vramTotalMb: 24_576,
    computeCapability: '8.6',
  },
  computeCapabilityByTable: null,
  modelNeedMb: 6_000,
  driver: driverAt('535.104.05'),
  thermal: noThermalEvents,
  errors: noOutcomes,
  now,
}
const failing = (facts: EligibilityFacts) =>
  judgeEligibility(facts)
    .answers.filter(answer => !answer.passes)
    .map(answer => answer.predicate)
const answerOf = (facts: EligibilityFacts, predicate: PredicateName) =>
  judgeEligibility(facts).answers.find(answer => answer.predicate === predicate)!

test('a good machine is eligible, and every predicate says so with its figures', () => {
  const { eligible, answers } = judgeEligibility(good)
  expect(eligible).toBe(true)
  expect(answers.map(answer => answer.predicate)).toEqual([
    'memory',
    'compute-capability',
    'driver',
    'thermal-events',
    'error-rate',
  ])
  for (const answer of answers) expect(answer.reason).not.toBe('')
})

describe('each predicate refuses alone, in words with the figures', () => {
  test.each<[PredicateName, Partial<EligibilityFacts>, string[]]>([
    ['memory', { modelNeedMb: 24_300 }, ['24576 MB', '24812 MB', '512']],
    [
      'compute-capability',
      { gpu: { ...good.gpu, computeCapability: '6.1' } },
      ['6.1', 'needed 7.0'],
    ],
    ['driver', { driver: driverAt('545.29.06') }, ['garbage', '535']],
    ['thermal-events', { thermal: hot(3) }, ['3 thermal events', '3 are too many']],
    ['error-rate', { errors: outcomes(3, 27) }, ['3 of 30', '10 %', 'allowed 5 %']],
  ])('%s', (predicate, change, words) => {
    const facts = { ...good, ...change }
    expect(failing(facts)).toEqual([predicate])
    expect(judgeEligibility(facts).eligible).toBe(false)
    for (const word of words) expect(answerOf(facts, predicate).reason).toContain(word)
  })

  test('all that is wrong is told at once', () => {
    const bad = {
      ...good,
      gpu: { ...good.gpu, computeCapability: '6.1', vramTotalMb: 2_048 },
      driver: driverAt('545.29.06'),
      thermal: hot(4),
      errors: outcomes(9, 1),
    }
    expect(failing({ ...bad, errors: outcomes(20, 0) })).toHaveLength(5)
  })
})

describe('what is not known', () => {
  test.each<[string, PredicateName, boolean, Partial<EligibilityFacts>]>([
    ['memory fails', 'memory', false, { gpu: { ...good.gpu, vramTotalMb: null } }],
    ['the need of a model fails', 'memory', false, { modelNeedMb: null }],
    [
      'compute capability fails',
      'compute-capability',
      false,
      { gpu: { ...good.gpu, computeCapability: null } },
    ],
    ['a driver passes', 'driver', true, { driver: driverAt(null) }],
    ['a rate of too few inferences passes', 'error-rate', true, { errors: outcomes(1, 3) }],
  ])('%s', (_, predicate, passes, change) => {
    expect(answerOf({ ...good, ...change }, predicate)).toMatchObject({ passes, known: false })
  })

  test('the table of cards stands in for a compute capability', () => {
    const silent = { ...good, gpu: { ...good.gpu, computeCapability: null } }
    expect(failing({ ...silent, computeCapabilityByTable: '8.6' })).toEqual([])
    expect(failing({ ...silent, computeCapabilityByTable: '6.1' })).toEqual(['compute-capability'])
  })

  test('no unknown value is ever told as a number', () => {
    const nothing: EligibilityFacts = {
      ...good,
      gpu: { ...good.gpu, name: 'GPU', vramTotalMb: null, computeCapability: null },
      modelNeedMb: null,
      driver: driverAt(null),
    }
    for (const answer of judgeEligibility(nothing).answers.filter(one => !one.known)) {
      expect(answer.reason).not.toMatch(/NaN|null|undefined|Infinity/)
      if (answer.predicate !== 'error-rate') expect(answer.reason).not.toMatch(/\d/)
    }
  })
})

test('shared memory counts as what may be taken of it, never as VRAM', () => {
  expect(modelMemoryMb({ ...good.gpu, kind: 'unified', memoryUsableMb: 49_152 })).toBe(49_152)
  expect(modelMemoryMb({ ...good.gpu, kind: 'unified', vramTotalMb: 65_536 })).toBeNull()
  expect(modelMemoryMb({ ...good.gpu, kind: 'integrated', vramTotalMb: 512 })).toBeNull()
})

test('measured memory counts where it is less than what the driver tells, and where nothing is told', () => {
  const measuredMb = (memoryUsableMb: number | null, told: Partial<EligibilityFacts['gpu']> = {}) =>
    modelMemoryMb({
      ...good.gpu,
      ...told,
      measured: { decode: null, prefill: null, memoryUsableMb, engine: 'e', atMs: 1, reason: null },
    })
  expect(measuredMb(22_000)).toBe(22_000)
  expect(measuredMb(30_000)).toBe(24_576)
  expect(measuredMb(null)).toBe(24_576)
  expect(measuredMb(22_000, { vramTotalMb: null })).toBe(22_000)
})

test('compute capability is asked of NVIDIA alone', () => {
  const amd = { ...good.gpu, vendor: 'amd' as const, computeCapability: null }
  expect(failing({ ...good, gpu: amd })).toEqual([])
})

test('without a model, a device is judged for itself', () => {
  const { modelNeedMb: _, ...facts } = { ...good, gpu: { ...good.gpu, vramTotalMb: null } }
  expect(judgeEligibility(facts).eligible).toBe(true)
})

test('reasons are complete: mending exactly the named figures makes any machine eligible', () => {
  const anyFacts = fc.record({
    vramTotalMb: fc.option(fc.integer({ min: 0, max: 100_000 })),
    modelNeedMb: fc.integer({ min: 0, max: 100_000 }),
    computeCapability: fc.option(fc.constantFrom('5.2', '6.1', '7.0', '7.5', '10.0', '12.1')),
    driverVersion: fc.option(fc.constantFrom('535.1', '545.0', '545.99', '546', '525.147.05', '?')),
    events: fc.nat({ max: 6 }),
    failed: fc.nat({ max: 30 }),
    ok: fc.nat({ max: 60 }),
  })
  fc.assert(
    fc.property(anyFacts, any => {
      const facts: EligibilityFacts = {
        ...good,
        gpu: {
          ...good.gpu,
          vramTotalMb: any.vramTotalMb,
          computeCapability: any.computeCapability,
        },
        modelNeedMb: any.modelNeedMb,
        driver: driverAt(any.driverVersion),
        thermal: hot(any.events),
        errors: outcomes(any.failed, any.ok),
      }
      const wrong = failing(facts)
      expect(judgeEligibility(facts).eligible).toBe(wrong.length === 0)
      expect(failing(wrong.reduce((mended, name) => mend[name](mended), facts))).toEqual([])
      for (const name of wrong) {
        const others = wrong.filter(other => other !== name)
        expect(failing(others.reduce((mended, other) => mend[other](mended), facts))).toEqual([
          name,
        ])
      }
    }),
  )
})

/** The least change of the figure that a predicate names. */
const mend: Record<PredicateName, (facts: EligibilityFacts) => EligibilityFacts> = {
  memory: facts => ({
    ...facts,
    gpu: { ...facts.gpu, vramTotalMb: (facts.modelNeedMb ?? 0) + limits.memoryHeadroomMb },
  }),
  'compute-capability': facts => ({ ...facts, gpu: { ...facts.gpu, computeCapability: '7.0' } }),
  driver: facts => ({ ...facts, driver: driverAt('546') }),
  'thermal-events': facts => ({ ...facts, thermal: hot(thermalEventsMax - 1) }),
  'error-rate': facts => ({ ...facts, errors: outcomes(1, 19) }),
}

test('each threshold is where the specification puts it: one step further flips the answer', () => {
  const need = good.modelNeedMb! + limits.memoryHeadroomMb
  const flips: [PredicateName, EligibilityFacts, EligibilityFacts][] = [
    [
      'memory',
      { ...good, gpu: { ...good.gpu, vramTotalMb: need } },
      { ...good, gpu: { ...good.gpu, vramTotalMb: need - 1 } },
    ],
    [
      'compute-capability',
      { ...good, gpu: { ...good.gpu, computeCapability: '7.0' } },
      { ...good, gpu: { ...good.gpu, computeCapability: '6.9' } },
    ],
    ['thermal-events', { ...good, thermal: hot(2) }, { ...good, thermal: hot(3) }],
    ['error-rate', { ...good, errors: outcomes(5, 95) }, { ...good, errors: outcomes(6, 94) }],
  ]
  for (const [predicate, passing, refused] of flips) {
    expect(answerOf(passing, predicate).passes).toBe(true)
    expect(answerOf(refused, predicate).passes).toBe(false)
  }
})

import { describe, expect, test } from 'bun:test'
import type { GpuInventory } from '../protocol/gpu.ts'
import { driverEntries, driverFactsOf, judgeDriver, type DriverFacts } from './driver-blacklist.ts'
import { compareVersions, isInRange } from './driver-version.ts'

const gpu = (more: Partial<GpuInventory>): GpuInventory => ({
  id: 'gpu-0',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'NVIDIA GeForce RTX 3090',
  vramTotalMb: 24_576,
  driverVersion: '545.29.06',
  computeCapability: '8.6',
  pciBusId: null,
  source: 'nvml',
  ...more,
})
const facts = (gpus: GpuInventory[], os = 'linux 6.8.0-117-generic', known = {}) =>
  driverFactsOf({ os, gpus }, gpus[0]!, known)

describe('the list', () => {
  test('has at least eight entries, each with a page to look up and what helps', () => {
    expect(driverEntries.length).toBeGreaterThanOrEqual(8)
    for (const entry of driverEntries) expect(entry.workaround.text).not.toBe('')
  })

  test('refuses a machine only by two sources; one report is told, not obeyed', () => {
    const refusing = driverEntries.filter(entry => entry.severity === 'refuse')
    expect(refusing.length).toBeGreaterThanOrEqual(4)
    for (const { id, sources } of refusing)
      expect([id, new Set(sources).size >= 2]).toEqual([id, true])
  })

  test('names each entry once, and no range is empty', () => {
    expect(new Set(driverEntries.map(entry => entry.id)).size).toBe(driverEntries.length)
    for (const { id, from, before } of driverEntries)
      expect([id, compareVersions(from, before)! < 0]).toEqual([id, true])
  })

  test('every entry is found by the machine it describes, and by no other version', () => {
    for (const entry of driverEntries) {
      const described: DriverFacts = {
        os: entry.os[0]!,
        versions: { [entry.component]: entry.from },
        vendor: entry.vendor,
        kind: (entry.kinds?.[0] ?? 'discrete') as DriverFacts['kind'],
        gfxTarget: entry.gfxTargets?.[0] ?? null,
        backends: entry.backends ?? null,
        gpus: entry.gpusMin ?? 1,
      }
      const matched = judgeDriver(described, [entry])
      expect([entry.id, matched.matches.length]).toEqual([entry.id, 1])
      expect(matched.verdict).not.toBe('clear')
      const fixed = { ...described, versions: { [entry.component]: entry.before } }
      expect([entry.id, judgeDriver(fixed, [entry]).verdict]).toEqual([entry.id, 'clear'])
      expect(isInRange(entry.from, entry.from, entry.before)).toBe(true)
    }
  })
})

describe('a judgement', () => {
  test('refuses a driver that corrupts on the only backend', () => {
    const two = [gpu({ backends: ['cuda'] }), gpu({ id: 'gpu-1' })]
    expect(judgeDriver(facts(two))).toMatchObject({ verdict: 'refused', avoidBackends: ['cuda'] })
  })

  test('leaves the other backend', () => {
    const two = [gpu({ backends: ['cuda', 'vulkan'] }), gpu({ id: 'gpu-1' })]
    expect(judgeDriver(facts(two))).toMatchObject({ verdict: 'helped', avoidBackends: ['cuda'] })
  })

  test('asks for what the entry is about: one card alone is fine', () => {
    expect(judgeDriver(facts([gpu({ backends: ['cuda'] })])).verdict).toBe('clear')
  })

  test('gives the environment that helps', () => {
    const arc = gpu({
      vendor: 'intel',
      name: 'Intel(R) Arc(TM) B580 Graphics',
      driverVersion: '32.0.101.8629',
      backends: ['vulkan'],
    })
    expect(judgeDriver(facts([arc], 'win32 10.0.26100'))).toMatchObject({
      verdict: 'helped',
      env: { GGML_VK_DISABLE_COOPMAT: '1' },
    })
    const newer = { ...arc, driverVersion: '32.0.101.8864' }
    expect(judgeDriver(facts([newer], 'win32 10.0.26100')).verdict).toBe('clear')
    expect(judgeDriver(facts([arc], 'linux 6.8.0')).verdict).toBe('clear')
  })

  test('knows macOS by its kernel', () => {
    const m1 = gpu({ vendor: 'apple', kind: 'unified', driverVersion: null, backends: ['metal'] })
    expect(judgeDriver(facts([m1], 'darwin 22.6.0')).verdict).toBe('warned')
    expect(judgeDriver(facts([m1], 'darwin 24.1.0')).verdict).toBe('clear')
  })

  test('uses versions that only the agent knows', () => {
    const halo = gpu({ vendor: 'amd', gfxTarget: 'gfx1151', backends: ['rocm', 'vulkan'] })
    for (const known of [{ rocm: '6.4.3' }, { firmware: '20251125' }])
      expect(judgeDriver(facts([halo], 'linux 6.8.0', known))).toMatchObject({
        verdict: 'helped',
        avoidBackends: ['rocm'],
      })
    expect(judgeDriver(facts([halo], 'linux 6.8.0', { rocm: '7.2.3' })).verdict).toBe('warned')
  })

  test('says that it does not know: no version, a version of no kind, no operating system', () => {
    const two = [gpu({ driverVersion: null }), gpu({ id: 'gpu-1' })]
    expect(judgeDriver(facts(two)).verdict).toBe('unknown')
    expect(judgeDriver(facts([gpu({ driverVersion: 'N/A' })])).verdict).toBe('unknown')
    expect(judgeDriver(facts([gpu({})], 'freebsd 14.1')).verdict).toBe('unknown')
  })
})

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cpuFeatures } from './cpu-features.ts'
import { parseLscpu } from './cpu-lscpu.ts'
import { windowsCpuFlags } from './cpu-windows.ts'
import { parseProcCpuinfo, readCpu } from './cpu.ts'
import { sysfsOfFiles } from './sysfs-of-files.ts'

const recorded = (name: string) =>
  readFileSync(join(import.meta.dir, 'fixtures', 'cpu', name), 'utf8')

describe('lscpu', () => {
  test("of before 2.34 shows one cache's size, of which the sum is not known", () => {
    expect(parseLscpu(recorded('lscpu-epyc-8434p-old-form.txt'))).toMatchObject({
      name: 'AMD EPYC 8434P 48-Core Processor',
      physicalCores: 48,
      numaNodes: 8,
      cacheBytes: { l1d: null, l2: null, l3: null },
    })
  })

  test('of later shows sums', () => {
    expect(parseLscpu(recorded('lscpu-epyc-7763-vm.txt'))).toMatchObject({
      physicalCores: 4,
      numaNodes: 1,
      cacheBytes: { l1d: 131_072, l2: 2_097_152, l3: 33_554_432 },
    })
    expect(parseLscpu('  L2:  8 MiB (16 instances)\n').cacheBytes.l2).toBe(8_388_608)
  })

  test('may be indented', () => {
    const facts = parseLscpu(recorded('lscpu-ryzen-5950x.txt'))
    expect(facts).toMatchObject({
      name: 'AMD Ryzen 9 5950X 16-Core Processor',
      physicalCores: 16,
      numaNodes: null,
    })
    expect(cpuFeatures(facts.flags, 'x64')).toEqual([
      'avx',
      'f16c',
      'fma',
      'sse3',
      'sse4_2',
      'ssse3',
    ])
  })

  test('of garbage is nothing', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        const { cacheBytes, physicalCores } = parseLscpu(`L2 cache: ${text}\nSocket(s): ${text}`)
        return physicalCores === null && (cacheBytes.l2 === null || cacheBytes.l2 >= 0)
      }),
    )
  })
})

describe('/proc/cpuinfo', () => {
  test('of Sapphire Rapids has the subsets of AVX-512', () => {
    const facts = parseProcCpuinfo(recorded('cpuinfo-sapphire-rapids-flags.txt'))
    expect(cpuFeatures(facts.flags, 'x64')).toEqual([
      'avx',
      'avx2',
      'avx512_bf16',
      'avx512_bitalg',
      'avx512_vbmi2',
      'avx512_vnni',
      'avx512_vpopcntdq',
      'avx512bw',
      'avx512cd',
      'avx512dq',
      'avx512f',
      'avx512ifma',
      'avx512vbmi',
      'avx512vl',
      'avx_vnni',
      'bmi2',
      'f16c',
      'fma',
      'sse3',
      'sse4_2',
      'ssse3',
    ])
  })

  test.each([
    ['cpuinfo-xeon-gold-6542y.txt', 'INTEL(R) XEON(R) GOLD 6542Y'],
    ['cpuinfo-xeon-platinum-8470.txt', 'Intel(R) Xeon(R) Platinum 8470'],
  ])('of %s names the processor', (file, name) => {
    expect(parseProcCpuinfo(recorded(file))).toMatchObject({ name, physicalCores: 1 })
  })

  test('of arm64 has no names, and SVE where it is', () => {
    const altra = parseProcCpuinfo(recorded('cpuinfo-ampere-neoverse-n1.txt'))
    expect(altra).toMatchObject({ name: null, physicalCores: null })
    expect(cpuFeatures(altra.flags, 'arm64')).toEqual(['dotprod', 'fp16', 'neon'])
    const exynos = parseProcCpuinfo(recorded('cpuinfo-exynos-1680-sve2.txt'))
    expect(cpuFeatures(exynos.flags, 'arm64')).toEqual([
      'bf16',
      'dotprod',
      'fp16',
      'i8mm',
      'neon',
      'sve',
      'sve2',
      'svebf16',
      'svei8mm',
    ])
  })

  test('AMX is told by its parts', () => {
    expect(cpuFeatures('amx_bf16 avx512_fp16 amx_tile amx_int8', 'x64')).toEqual([
      'amx_bf16',
      'amx_int8',
      'amx_tile',
      'avx512_fp16',
    ])
  })
})

test('what cpuinfo leaves open on arm64, lscpu fills in', async () => {
  const asked: string[] = []
  const cpu = await readCpu(
    sysfsOfFiles({ '/proc/cpuinfo': recorded('cpuinfo-ampere-neoverse-n1.txt') }),
    argv => {
      asked.push(argv[0])
      const stdout =
        'Model name: Neoverse-N1\nCore(s) per socket: 80\nSocket(s): 1\nNUMA node(s): 1\nL2 cache: 80 MiB\n'
      return Promise.resolve({ type: 'answer', status: 0, stdout })
    },
  )
  expect(asked).toEqual(['lscpu'])
  expect(cpu).toMatchObject({
    name: 'Neoverse-N1',
    numaNodes: 1,
    cacheBytes: { l1d: null, l2: 83_886_080, l3: null },
  })
})

test('Windows is not asked elsewhere', () => {
  expect(windowsCpuFlags('linux')).toBe('')
})

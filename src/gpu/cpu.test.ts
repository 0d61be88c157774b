import { describe, expect, test } from 'bun:test'
import { cpuFeatures } from './cpu-features.ts'
import { coresWithin, parseProcCpuinfo, readCpu } from './cpu.ts'
import { sysfsOfFiles } from './sysfs-of-files.ts'

const epyc = `processor	: 0
vendor_id	: AuthenticAMD
model name	: AMD EPYC 9354 32-Core Processor
physical id	: 0
siblings	: 4
core id		: 0
cpu cores	: 2
flags		: fpu vme sse sse2 ht pni ssse3 fma cx16 sse4_1 avx f16c avx2 bmi2 avx512f avx512bw avx512vl avx512_bf16 avx512vbmi avx512_vnni

processor	: 1
model name	: AMD EPYC 9354 32-Core Processor
physical id	: 0
core id		: 0
flags		: fpu vme

processor	: 2
model name	: AMD EPYC 9354 32-Core Processor
physical id	: 0
core id		: 1
flags		: fpu vme
`

const raspberryPi = `processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU part	: 0xd0b

processor	: 1
Features	: fp asimd
`

describe('/proc/cpuinfo', () => {
  test('of x86 gives the name, hyperthreads counted once, and the instruction sets', () => {
    const facts = parseProcCpuinfo(epyc)
    expect(facts).toMatchObject({ name: 'AMD EPYC 9354 32-Core Processor', physicalCores: 2 })
    expect(cpuFeatures(facts.flags, 'x64')).toEqual([
      'avx',
      'avx2',
      'avx512_bf16',
      'avx512_vnni',
      'avx512bw',
      'avx512f',
      'avx512vbmi',
      'avx512vl',
      'bmi2',
      'f16c',
      'fma',
      'sse3',
      'ssse3',
    ])
  })

  test('of arm64 names neither processor nor cores, and says so', () => {
    const facts = parseProcCpuinfo(raspberryPi)
    expect(facts).toMatchObject({ name: null, physicalCores: null })
    expect(cpuFeatures(facts.flags, 'arm64')).toEqual(['dotprod', 'fp16', 'neon'])
  })
})

test('the flags of macOS are understood', () => {
  expect(cpuFeatures('FPU VME AVX1.0 AVX2 F16C', 'x64')).toEqual(['avx', 'avx2', 'f16c'])
  expect(cpuFeatures('', 'arm64')).toEqual(['neon'])
})

test('a CPU quota bounds the cores, down to one', () => {
  expect(coresWithin(null, 16)).toBe(16)
  expect(coresWithin(2.5, 16)).toBe(2)
  expect(coresWithin(0.5, 16)).toBe(1)
  expect(coresWithin(64, 16)).toBe(16)
})

test('this machine can be read, and a quota of one processor leaves one core', async () => {
  const files: Record<string, string> = {
    '/proc/cpuinfo': epyc,
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/cpu.max': '100000 100000\n',
  }
  expect(await readCpu(sysfsOfFiles(files))).toMatchObject({
    physicalCores: 1,
    logicalCores: 1,
  })
})

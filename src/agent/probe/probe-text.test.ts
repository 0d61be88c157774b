import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { amdInventory } from '../../gpu/amd-sysfs.ts'
import { inventoryOf } from '../../gpu/nvidia-device.ts'
import { parseNvidiaSmiXml } from '../../gpu/nvidia-smi-xml.ts'
import { sysfsOfFiles } from '../../gpu/sysfs-of-files.ts'
import type { GpuInventory } from '../../protocol/gpu.ts'
import { plainStyle, styleFor } from '../terminal-style.ts'
import { buildReport, type ProbeFacts } from './build-report.ts'
import { ProbeReportSchema, type ProbeReport } from './probe-report.ts'
import { formatProbe } from './probe-text.ts'
import { shape8b } from './shape-for-tests.ts'

const fixture = (name: string) =>
  readFileSync(join(import.meta.dir, '../../gpu/fixtures', name), 'utf8')
const rtx3060 = parseNvidiaSmiXml(fixture('nvidia/570-rtx-3060.xml')).map(device =>
  inventoryOf(device, 'nvidia-smi -q -x'),
)
const phoenix = amdInventory(sysfsOfFiles(JSON.parse(fixture('amd/uevent-phoenix.json'))))

const gib = 1024 ** 3
const model = {
  name: 'qwen3-8b',
  sizeBytes: 5_000_000_000,
  shape: shape8b,
  contextTokens: 8_192,
  slots: 2,
}
const report = (gpus: readonly GpuInventory[], change: Partial<ProbeFacts> = {}) =>
  buildReport(
    {
      inventory: {
        hostname: 'den',
        os: 'linux 6.8.0',
        arch: 'x64',
        memoryTotalMb: 32 * 1024,
        cpu: {
          name: 'AMD Ryzen 9 5950X',
          physicalCores: 16,
          logicalCores: 32,
          features: ['avx', 'avx2', 'fma'],
          memoryBandwidthGBs: { value: 51.2, method: 'dmi' },
        },
        gpus: [...gpus],
      },
      memoryAvailableBytes: 20 * gib,
      models: [model],
      modelsFrom: 'pool',
      modelsNote: null,
      problems: [],
      ...change,
    },
    0,
  )

/** Judgements of its own, so that a better table of cards does not change what the text is tested for. */
const judged = (gpus: readonly GpuInventory[], judgement: Partial<ProbeReport['devices'][0]>) => {
  const whole = report(gpus)
  return { ...whole, devices: whole.devices.map(device => ({ ...device, ...judgement })) }
}
const asCard = {
  eligible: true,
  reasons: [],
  score: 48,
  explanation:
    '48 = 16.8 memory (11.6 GB) + 17.2 decode (44.1 tokens/s of an 8B model, estimated from 360 GB/s) + 4 prefill (398 tokens/s of an 8B model, estimated from 12.7 fp16 TFLOPS) + 10 quantisation (int8: matrix units) (table: GeForce RTX 3060)',
  figuresFrom: 'table: GeForce RTX 3060',
}
const unheardOf = {
  eligible: false,
  reasons: ['too hot', '3 of 20 inferences failed'],
  driverNotes: ['Its driver of May makes noise. Install the one of June.'],
  score: 0,
  explanation: '0 = 0 memory (unknown) (no such part)',
  figuresFrom: 'no such part',
}

test('a machine with a recorded RTX 3060 is told in 80 columns', () => {
  expect(formatProbe(judged(rtx3060, asCard), plainStyle)).toMatchInlineSnapshot(`
    "den  linux 6.8.0, x64

    NVIDIA GeForce RTX 3060
      may serve   yes
      memory      12.0 GB, of which 11.6 GB for models
      driver      570.124.04, CUDA 12.8
      llama.cpp   can drive it with cuda, then vulkan
      score       48 of 100:
                    16.8 memory (11.6 GB)
                    17.2 decode (44.1 tokens/s of an 8B model, estimated from 360
                    GB/s)
                    4 prefill (398 tokens/s of an 8B model, estimated from 12.7 fp16
                    TFLOPS)
                    10 quantisation (int8: matrix units)
      figures     table: GeForce RTX 3060
      read by     nvidia-smi -q -x: name, memory, driver, CUDA version, place on the
                  bus, PCI id, usable memory, power limit, MIG
      id          GPU-d6889ff6-2523-9142-ca3c-1ca3f396a625

    AMD Ryzen 9 5950X
      serves      as overflow: layers and models that fit on no GPU
      cores       16, 32 threads
      features    avx, avx2, fma
      memory      20.0 GB of 32.0 GB free
      bandwidth   51.2 GB/s (dmi)
      measured    not yet; a running agent does it when nobody wants it

    Models of the pool
      qwen3-8b, 4.7 GB, 2 slots of 8192 tokens
        GPU           fits whole: 6.9 GB of 11.1 GB; up to 23552 tokens
        processor     fits whole: 7.4 GB of 19.5 GB; up to 40960 tokens
    "
  `)
})

test('a recorded laptop chip whose memory nobody tells has no invented figure', () => {
  expect(formatProbe(judged(phoenix, unheardOf), plainStyle)).toMatchInlineSnapshot(`
    "den  linux 6.8.0, x64

    AMD GPU 1002:15bf
      may serve   no: too hot; 3 of 20 inferences failed
      memory      how much models may take is not known, of main memory (integrated)
      driver      its version could not be read
                  Its driver of May makes noise. Install the one of June.
      llama.cpp   can drive it with vulkan
      score       0 of 100:
                    0 memory (unknown)
      figures     no such part
      read by     amdgpu
      id          pci-0000:64:00.0

    AMD Ryzen 9 5950X
      serves      as overflow: layers and models that fit on no GPU
      cores       16, 32 threads
      features    avx, avx2, fma
      memory      20.0 GB of 32.0 GB free
      bandwidth   51.2 GB/s (dmi)
      measured    not yet; a running agent does it when nobody wants it

    Models of the pool
      qwen3-8b, 4.7 GB, 2 slots of 8192 tokens
        GPU           not known: its memory could not be read
        processor     fits whole: 7.4 GB of 19.5 GB; up to 40960 tokens
    "
  `)
})

test('a machine without a GPU says so, and what the server does not tell of a model', () => {
  const models = [{ ...model, shape: null }]
  const facts = { models, modelsNote: '3 more are not listed.', problems: ['amd-smi is silent'] }
  expect(formatProbe(report([], facts), plainStyle)).toMatchInlineSnapshot(`
    "den  linux 6.8.0, x64

    No GPU

    AMD Ryzen 9 5950X
      serves      all models of this machine
      cores       16, 32 threads
      features    avx, avx2, fma
      memory      20.0 GB of 32.0 GB free
      bandwidth   51.2 GB/s (dmi)
      measured    not yet; a running agent does it when nobody wants it

    Models of the pool
      3 more are not listed.
      qwen3-8b, 4.7 GB, 2 slots of 8192 tokens
        processor     size only: weights of 4.7 GB, of 19.5 GB; what it needs
                      besides is not known

    note  amd-smi is silent
    "
  `)
})

test('several cards are told apart; none of it passes 80 columns', () => {
  const [card] = rtx3060
  if (card === undefined) throw new Error('the recording has no card')
  const text = formatProbe(report([card, { ...card, id: 'GPU-2' }]), plainStyle)
  expect(text).toContain('    GPU 2 ')
  for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80)
})

test('colours change nothing but the colour', () => {
  const coloured = formatProbe(report(rtx3060), styleFor(true, {}))
  expect(coloured).toContain('\x1b[')
  expect(Bun.stripANSI(coloured)).toBe(formatProbe(report(rtx3060), plainStyle))
})

test.each([
  ['NVIDIA', rtx3060],
  ['AMD', phoenix],
  ['no', []],
])('the report of a machine with %s GPU is of the documented shape', (_, gpus) => {
  const sent: unknown = JSON.parse(JSON.stringify(report(gpus)))
  const check = Compile(ProbeReportSchema)
  expect([...check.Errors(sent)]).toEqual([])
  expect(sent).toMatchObject({ schemaVersion: 1, models: [{ fits: { cpu: { type: 'whole' } } }] })
})

test('what was measured of the processor is told with its figures, or why there are none', () => {
  const base = report([]).inventory
  const measured = {
    decode: { tokensPerS: 61.23, workPerToken: 105e6 },
    prefill: { tokensPerS: 412.6, workPerToken: 2e8 },
    memoryUsableMb: null,
    threads: 1,
    engine: 'test',
    atMs: 1,
    reason: null,
  }
  const told = (change: Partial<typeof measured> | object) => {
    const cpu = { ...base.cpu, measured: { ...measured, ...change } }
    return formatProbe(report([], { inventory: { ...base, cpu } }), plainStyle).replaceAll(
      /\n +/g,
      ' ',
    )
  }
  expect(told({})).toContain(
    '61.2 tokens/s of a model of 105 MB, which is 6.4 GB/s, prompts at 413 tokens/s, fastest on 1 thread',
  )
  expect(told({ decode: null, reason: 'too little memory' })).toContain(
    'nothing: too little memory',
  )
})

import type { GpuInventory, Inventory } from '../../protocol/gpu.ts'
import { gigabytes } from '../size-text.ts'
import type { Style } from '../terminal-style.ts'
import { hanging } from '../wrap-text.ts'
import { formatModels } from './models-text.ts'
import type { ProbeReport } from './probe-report.ts'

const indent = 14

/** The report for people, in 80 columns. */
export function formatProbe(report: ProbeReport, style: Style): string {
  const { inventory, devices, problems } = report
  const { hostname, os, arch, gpus } = inventory
  const lines = [
    `${style('bold', hostname)}  ${os}, ${arch}`,
    '',
    ...(gpus.length === 0 ? [style('bold', 'No GPU'), ''] : []),
    ...gpus.flatMap((gpu, at) => [...deviceLines(gpu, devices[at], style), '']),
    ...processorLines(report, style),
    '',
    ...formatModels(report, style),
    ...(problems.length === 0 ? [] : ['', ...problems.map(problem => hanging('note', problem, 6))]),
  ]
  return `${lines.join('\n')}\n`
}

const line = (label: string, text: string | null): readonly string[] =>
  text === null ? [] : [hanging(`  ${label}`, text, indent)]

function deviceLines(
  gpu: GpuInventory,
  judgement: ProbeReport['devices'][number] | undefined,
  style: Style,
): readonly string[] {
  const heading = style('bold', gpu.name)
  if (judgement === undefined) return [heading]
  const { eligible, reasons, driverNotes, backends } = judgement
  return [
    heading,
    eligible
      ? `  ${'may serve'.padEnd(indent - 2)}${style('green', 'yes')}`
      : hanging('  may serve', `no: ${reasons.join('; ')}`, indent),
    ...line('memory', memoryOf(gpu)),
    ...line('driver', driverOf(gpu)),
    ...driverNotes.flatMap(note => line('', note)),
    ...line('llama.cpp', backendsText(backends)),
    ...scoreLines(judgement),
    ...line('read by', readByText(gpu)),
    ...line('id', gpu.id),
  ]
}

function memoryOf(gpu: GpuInventory): string {
  const { kind, vramTotalMb, memoryUsableMb } = gpu
  const usable = memoryUsableMb ?? (kind === 'discrete' ? vramTotalMb : null)
  const models =
    usable === null ? 'how much models may take is not known' : `${mb(usable)} for models`
  if (kind !== 'discrete') return `${models}, of main memory (${kind})`
  return vramTotalMb === null || vramTotalMb === usable
    ? models
    : `${mb(vramTotalMb)}, of which ${models}`
}

const mb = (megabytes: number): string => gigabytes(megabytes * 1024 ** 2)

function driverOf(gpu: GpuInventory): string | null {
  const facts = [
    gpu.driverVersion,
    gpu.cudaVersion ? `CUDA ${gpu.cudaVersion}` : null,
    gpu.computeCapability === null ? null : `compute capability ${gpu.computeCapability}`,
    gpu.gfxTarget ?? null,
  ].filter(fact => fact !== null)
  return facts.length === 0 ? 'its version could not be read' : facts.join(', ')
}

function backendsText(backends: readonly string[] | null): string {
  if (backends === null) return 'not known what can drive it'
  return backends.length === 0 ? 'cannot use it' : `can drive it with ${backends.join(', then ')}`
}

/** `62.1 = 22.8 memory (24.0 GB) + … (table: …)`: the sum first, then each part on its own line. */
function scoreLines({
  explanation,
  figuresFrom,
}: Pick<ProbeReport['devices'][number], 'explanation' | 'figuresFrom'>): readonly string[] {
  const [score = '', sum = ''] = explanation.replace(` (${figuresFrom})`, '').split(' = ')
  const parts = sum.split(' + ').filter(Boolean)
  return [
    ...line('score', `${score} of 100${parts.length === 0 ? '' : ':'}`),
    ...parts.map(part => hanging('', part, indent + 2)),
    ...line('figures', figuresFrom),
  ]
}

/** Facts that could be read, grouped by who read them, for example `nvml: name, memory`. */
function readByText(gpu: GpuInventory): string {
  const { readBy, source } = gpu
  const byMethod = new Map<string, string[]>()
  for (const [fact, method] of Object.entries(readBy ?? {})) {
    if ((Reflect.get(gpu, fact) ?? null) === null) continue
    const facts = byMethod.get(method) ?? []
    byMethod.set(method, [...facts, words[fact] ?? fact])
  }
  if (byMethod.size === 0) return source
  return [...byMethod].map(([method, facts]) => `${method}: ${facts.join(', ')}`).join('; ')
}

const words: Readonly<Record<string, string>> = {
  vramTotalMb: 'memory',
  memoryUsableMb: 'usable memory',
  driverVersion: 'driver',
  cudaVersion: 'CUDA version',
  computeCapability: 'compute capability',
  pciBusId: 'place on the bus',
  pciDeviceId: 'PCI id',
  powerLimitW: 'power limit',
  migEnabled: 'MIG',
  gfxTarget: 'target',
}

function processorLines(report: ProbeReport, style: Style): readonly string[] {
  const { cpu, memoryTotalMb, gpus } = report.inventory
  return [
    style('bold', cpu.name),
    ...line(
      'serves',
      gpus.length === 0
        ? 'all models of this machine'
        : 'as overflow: layers and models that fit on no GPU',
    ),
    ...line('cores', `${cpu.physicalCores}, ${cpu.logicalCores} threads`),
    ...line('features', cpu.features.length === 0 ? 'unknown' : cpu.features.join(', ')),
    ...line('memory', `${gigabytes(report.memoryAvailableBytes)} of ${mb(memoryTotalMb)} free`),
    ...line('bandwidth', bandwidth(cpu)),
    ...line('measured', measuredText(cpu.measured)),
  ]
}

/** What the agent measured of the processor while nobody wanted it. */
function measuredText(measured: Inventory['cpu']['measured']): string {
  if (measured === undefined) return 'not yet; a running agent does it when nobody wants it'
  const { decode, prefill, threads, reason } = measured
  if (decode === null) return `nothing: ${reason ?? 'no figures came'}`
  const size = `${Math.round(decode.workPerToken / 1e6)} MB`
  const effective = ((decode.tokensPerS * decode.workPerToken) / 1e9).toFixed(1)
  return [
    `${tokens(decode.tokensPerS)} tokens/s of a model of ${size}, which is ${effective} GB/s`,
    ...(prefill === null ? [] : [`prompts at ${tokens(prefill.tokensPerS)} tokens/s`]),
    ...(typeof threads === 'number'
      ? [`fastest on ${threads} thread${threads === 1 ? '' : 's'}`]
      : []),
  ].join(', ')
}

const tokens = (perSecond: number): string =>
  perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1)

function bandwidth({ memoryBandwidthGBs: read }: Inventory['cpu']): string {
  return read === undefined || read.value === null
    ? 'unknown'
    : `${read.value} GB/s (${read.method})`
}

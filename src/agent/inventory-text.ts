import type { Inventory } from '../protocol/gpu.ts'
import type { DeviceJudgement } from '../capability/judge-device.ts'

/** The answer of `probe` for people. */
export function formatInventory(
  inventory: Inventory,
  problems: readonly string[],
  judgements: readonly DeviceJudgement[],
): string {
  const { hostname, os, arch, cpu, memoryTotalMb, gpus } = inventory
  const lines = [
    hostname,
    `  system      ${os}, ${arch}`,
    `  processor   ${cpu.name}, ${cpu.physicalCores} cores, ${cpu.logicalCores} threads`,
    `  features    ${cpu.features.length === 0 ? 'unknown' : cpu.features.join(', ')}`,
    `  memory      ${memoryTotalMb} MB${bandwidth(cpu)}`,
    ...(gpus.length === 0
      ? ['  devices     no GPU found']
      : gpus.flatMap(gpu => [
          `  device      ${describe(gpu)}`,
          ...judgements.filter(({ id }) => id === gpu.id).flatMap(judgementLines),
        ])),
    ...problems.map(problem => `  note        ${problem}`),
  ]
  return `${lines.join('\n')}\n`
}

function bandwidth({ memoryBandwidthGBs: read }: Inventory['cpu']): string {
  return read === undefined || read.value === null ? '' : `, ${read.value} GB/s (${read.method})`
}

function judgementLines(judgement: DeviceJudgement): string[] {
  const { eligible, reasons, driverNotes, explanation } = judgement
  return [
    `    may serve   ${eligible ? 'yes' : `no: ${reasons.join('; ')}`}`,
    `    score       ${explanation}`,
    ...driverNotes.map(note => `    driver      ${note}`),
  ]
}

function describe(gpu: Inventory['gpus'][number]): string {
  const facts = [
    gpu.name,
    gpu.kind,
    gpu.vramTotalMb === null ? null : `${gpu.vramTotalMb} MB`,
    gpu.driverVersion === null ? null : `driver ${gpu.driverVersion}`,
    gpu.computeCapability === null ? null : `compute capability ${gpu.computeCapability}`,
  ]
  return facts.filter(fact => fact !== null).join(', ')
}

import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'
import { noAmdFacts, type AmdFacts } from './amd-facts.ts'
import { openAmdLibrary, type AmdLibrary } from './amd-library.ts'
import { parseRocmSmi, rocmSmiArguments } from './amd-rocm-smi.ts'
import { amdSmiMetricArguments, amdSmiStaticArguments, joinAmdSmi, parseAmdSmi } from './amd-smi.ts'
import { amdInventory, amdReadings } from './amd-sysfs.ts'
import { runCommand, type RunCommand } from './machine-command.ts'
import { unknownReading, type GpuFindings, type GpuProbe } from './probe.ts'
import { listDrmCards, sysfsAt, type Sysfs } from './sysfs.ts'

/** rocm-smi is a Python program and takes one to two seconds. */
const toolTimeLimitMs = 10_000

/**
 * AMD GPUs on Linux. The kernel's files say most; AMD's tools fill in names and targets once, and AMD's library the
 * readings that a card's files lack. A GPU that vanishes (reset, unplugged, power down) keeps its entry with nulls and
 * has its readings again when it is back: every reading looks for the devices anew, by their place on the bus.
 */
export function createAmdProbe(
  sysfs: Sysfs = sysfsAt(),
  run: RunCommand = runCommand,
  openLibrary: () => AmdLibrary | null = openAmdLibrary,
): GpuProbe {
  let known: readonly GpuInventory[] = []
  let library: AmdLibrary | null | undefined
  return {
    async inventory(): Promise<GpuFindings> {
      const gpus = amdInventory(sysfs)
      // The tools wake every GPU that they list, so they are not asked while one sleeps.
      const asleep = listDrmCards(sysfs).some(card => card.suspended)
      const told = gpus.length === 0 || asleep ? [] : await askTools(run)
      known = gpus.map(gpu => completed(gpu, told))
      return { gpus: known, problems: known.flatMap(gpu => problemsOf(gpu, sysfs)) }
    },
    readings() {
      const now = amdReadings(sysfs)
      const asleep = listDrmCards(sysfs).some(card => card.suspended)
      const lacking = now.some(
        reading => reading.power_w === null || reading.temperature_c === null,
      )
      if (lacking && !asleep && now.length > 0 && library === undefined) library = openLibrary()
      const facts = lacking && !asleep ? (library?.read() ?? []) : []
      return Promise.resolve(known.map(gpu => filledReading(gpu, now, facts)))
    },
  }
}

/** amd-smi, or its predecessor where only that is installed. */
async function askTools(run: RunCommand): Promise<readonly AmdFacts[]> {
  const fixed = await run(['amd-smi', ...amdSmiStaticArguments], toolTimeLimitMs)
  if (fixed.type === 'answer') {
    const live = await run(['amd-smi', ...amdSmiMetricArguments], toolTimeLimitMs)
    const facts = joinAmdSmi(
      parseAmdSmi(fixed.stdout),
      live.type === 'answer' ? parseAmdSmi(live.stdout) : [],
    )
    if (facts.length > 0) return facts
  }
  const rocm = await run(['rocm-smi', ...rocmSmiArguments], toolTimeLimitMs)
  return rocm.type === 'answer' ? parseRocmSmi(rocm.stdout) : []
}

/** Adds what the tools know to what the kernel's files say; the files come first. */
export function completed(gpu: GpuInventory, told: readonly AmdFacts[]): GpuInventory {
  const facts = told.find(entry => entry.pciBusId !== null && entry.pciBusId === gpu.pciBusId)
  if (facts === undefined) return gpu
  const discrete = gpu.kind === 'discrete'
  const vramTotalMb = gpu.vramTotalMb ?? (discrete ? facts.vramTotalMb : null)
  return {
    ...gpu,
    name: facts.name ?? gpu.name,
    gfxTarget: gpu.gfxTarget ?? facts.gfxTarget,
    vramTotalMb,
    memoryUsableMb: discrete ? vramTotalMb : (gpu.memoryUsableMb ?? null),
    powerLimitW: gpu.powerLimitW ?? facts.powerLimitW,
    readBy: { ...gpu.readBy, ...(facts.name === null ? {} : { name: 'amd tools' }) },
  }
}

function filledReading(
  gpu: GpuInventory,
  now: readonly GpuReading[],
  told: readonly AmdFacts[],
): GpuReading {
  const reading = now.find(entry => entry.id === gpu.id)
  if (reading === undefined) return unknownReading(gpu.id)
  const facts = told.find(entry => entry.pciBusId === gpu.pciBusId) ?? noAmdFacts
  return {
    ...reading,
    temperature_c: reading.temperature_c ?? facts.temperatureC,
    utilization_pct: reading.utilization_pct ?? facts.utilizationPct,
    power_w: reading.power_w ?? facts.powerW,
    ...(facts.throttleReasons === null ? {} : { throttle_reasons: [...facts.throttleReasons] }),
  }
}

function problemsOf(gpu: GpuInventory, sysfs: Sysfs): readonly string[] {
  if (gpu.backends?.includes('rocm') === true || gpu.gfxTarget !== null) return []
  return sysfs.list('/dev').includes('kfd')
    ? []
    : [`${gpu.name}: no /dev/kfd, so ROCm cannot be used; Vulkan can.`]
}

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GpuInventory } from '../protocol/gpu.ts'
import { runCommand, type RunCommand } from './machine-command.ts'
import { unknownReading, type GpuFindings, type GpuProbe } from './probe.ts'
import {
  parseWindowsReport,
  windowsInventory,
  windowsMemoryModules,
  type WindowsReport,
} from './windows-controllers.ts'
import { parseDxdiag, type DxdiagAdapter } from './windows-dxdiag.ts'
import { queryWindows } from './windows-query.ts'

/** dxdiag asks every driver in turn and takes up to half a minute on old machines. */
const dxdiagTimeLimitMs = 40_000

/**
 * GPUs of a Windows machine, of all vendors. Live readings of AMD and Intel cards would take their vendors' libraries
 * and stay null; NVIDIA's are its own probe's.
 */
export function createWindowsProbe(
  run: RunCommand = runCommand,
  dxdiag: () => Promise<readonly DxdiagAdapter[]> = () => askDxdiag(run),
): GpuProbe {
  let known: readonly GpuInventory[] = []
  return {
    async inventory(): Promise<GpuFindings> {
      const answer = await queryWindows(run)
      if (answer.type === 'absent') return { gpus: [], problems: [] }
      if (answer.type === 'failed') return { gpus: [], problems: [answer.reason] }
      const report = parseWindowsReport(answer.stdout)
      known = windowsInventory(report)
      if (known.some(gpu => lacksMemory(gpu)) && report.directX.length === 0) {
        const adapters = await dxdiag()
        known = known.map(gpu => withDxdiag(gpu, adapters))
      }
      return {
        gpus: known,
        problems: known.flatMap(gpu => problemsOf(gpu, report)),
        memoryModules: windowsMemoryModules(report),
      }
    },
    readings: () => Promise.resolve(known.map(gpu => unknownReading(gpu.id))),
  }
}

const lacksMemory = (gpu: GpuInventory) => gpu.kind === 'discrete' && gpu.vramTotalMb === null

/** dxdiag rounds, so it counts only where nothing better is known. */
export function withDxdiag(gpu: GpuInventory, adapters: readonly DxdiagAdapter[]): GpuInventory {
  const found = adapters.find(
    adapter => adapter.pciDeviceId !== null && adapter.pciDeviceId === gpu.pciDeviceId,
  )
  if (found === undefined) return gpu
  const vramTotalMb = gpu.vramTotalMb ?? (gpu.kind === 'discrete' ? found.dedicatedMb : null)
  return {
    ...gpu,
    vramTotalMb,
    memoryUsableMb: vramTotalMb,
    backends: found.ddiVersion !== null && found.ddiVersion < 12 ? [] : (gpu.backends ?? []),
    readBy: { ...gpu.readBy, vramTotalMb: 'dxdiag' },
  }
}

function problemsOf(gpu: GpuInventory, report: WindowsReport): readonly string[] {
  const row = report.controllers.find(found => found['Name'] === gpu.name)
  const code = row?.['ConfigManagerErrorCode']
  if (typeof code === 'number' && code !== 0)
    return [`${gpu.name}: Windows has stopped the device (code ${code} in Device Manager).`]
  return gpu.backends?.length === 0
    ? [`${gpu.name}: no Direct3D 12. Install the newest driver of its maker.`]
    : []
}

/** dxdiag writes its report into a file; `/whql:off` keeps it from asking the web. No report is no adapters. */
async function askDxdiag(run: RunCommand): Promise<readonly DxdiagAdapter[]> {
  const dir = await mkdtemp(join(tmpdir(), 'gpupool-dxdiag-'))
  try {
    const file = join(dir, 'report.xml')
    const answer = await run(['dxdiag.exe', '/whql:off', '/x', file], dxdiagTimeLimitMs)
    return answer.type === 'answer' ? parseDxdiag(await readFile(file, 'utf8')) : []
  } catch {
    return []
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

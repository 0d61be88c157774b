import type { GpuInventory, GpuReading } from '../protocol/gpu.ts'

/**
 * The fields asked of `nvidia-smi --query-gpu`. The name comes last because it is the only one that may hold a comma.
 * Drivers before 510 refuse `compute_cap`, so there is a list without it.
 */
export const nvidiaInventoryFields = [
  'uuid',
  'pci.bus_id',
  'driver_version',
  'memory.total',
  'compute_cap',
  'name',
] as const
export const nvidiaInventoryFieldsOldDriver = nvidiaInventoryFields.filter(
  field => field !== 'compute_cap',
)
export const nvidiaReadingFields = [
  'uuid',
  'temperature.gpu',
  'memory.used',
  'memory.total',
  'utilization.gpu',
  'power.draw',
] as const

/** Reads the CSV of an inventory query; lines that describe no device (warnings, errors) are left out. */
export function parseNvidiaInventory(csv: string, fields: readonly string[]): GpuInventory[] {
  return rowsOf(csv, fields).map(row => {
    const name = row.get('name') ?? 'NVIDIA GPU'
    return {
      id: row.get('uuid') ?? '',
      vendor: 'nvidia',
      kind: sharesTheMachinesMemory(name) ? 'unified' : 'discrete',
      name: name.slice(0, 256),
      vramTotalMb: numberOf(row.get('memory.total')),
      driverVersion: row.get('driver_version') ?? null,
      computeCapability: row.get('compute_cap') ?? null,
      pciBusId: row.get('pci.bus_id') ?? null,
      source: 'nvidia-smi',
    }
  })
}

/** Reads the CSV of a readings query. */
export function parseNvidiaReadings(csv: string): GpuReading[] {
  return rowsOf(csv, nvidiaReadingFields).map(row => ({
    id: row.get('uuid') ?? '',
    temperature_c: numberOf(row.get('temperature.gpu')),
    vram_used_mb: numberOf(row.get('memory.used')),
    vram_total_mb: numberOf(row.get('memory.total')),
    utilization_pct: numberOf(row.get('utilization.gpu')),
    power_w: numberOf(row.get('power.draw')),
  }))
}

/** DGX Spark and Jetson: the GPU works in the machine's own memory, and nvidia-smi shows `[N/A]` for it. */
const sharesTheMachinesMemory = (name: string): boolean => /\b(GB10|Orin|Thor|Tegra)\b/i.test(name)

/** One map per device; a field that the driver does not tell (`[N/A]`, `[Insufficient Permissions]` …) is absent. */
function rowsOf(csv: string, fields: readonly string[]): ReadonlyMap<string, string>[] {
  const rows: Map<string, string>[] = []
  for (const line of csv.split(/\r?\n/)) {
    const cells = line.split(',').map(cell => cell.trim())
    if (!line.startsWith('GPU-') || cells.length < fields.length) continue
    const row = new Map<string, string>()
    for (const [at, field] of fields.entries()) {
      const last = at === fields.length - 1
      const cell = last ? cells.slice(at).join(', ') : (cells[at] ?? '')
      if (cell !== '' && !isUntold(cell)) row.set(field, cell)
    }
    rows.push(row)
  }
  return rows
}

const isUntold = (cell: string): boolean => cell.startsWith('[') || cell === 'N/A'

function numberOf(cell: string | undefined): number | null {
  if (cell === undefined) return null
  const value = Number(cell)
  return Number.isFinite(value) ? value : null
}

export type NvidiaAnswer =
  | { readonly type: 'answer'; readonly csv: string }
  /** There is no nvidia-smi on this machine. */
  | { readonly type: 'absent' }
  | { readonly type: 'failed'; readonly reason: string }

/** A driver in trouble can hang every process that asks it; nothing waits longer than this. */
const timeLimitMs = 5_000

/** Asks nvidia-smi once. Never throws, never takes longer than the time limit. */
export async function queryNvidiaSmi(
  fields: readonly string[],
  executable = Bun.which('nvidia-smi'),
): Promise<NvidiaAnswer> {
  if (executable === null) return { type: 'absent' }
  try {
    const child = Bun.spawn(
      [executable, `--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: timeLimitMs,
        killSignal: 'SIGKILL',
        windowsHide: true,
        maxBuffer: 1024 * 1024,
      },
    )
    const [csv, status] = await Promise.all([child.stdout.text(), child.exited])
    if (child.signalCode !== null)
      return { type: 'failed', reason: `nvidia-smi gave no answer within ${timeLimitMs / 1000} s` }
    // nvidia-smi prints its errors on stdout, and with one broken device of several it still lists the others.
    if (status !== 0 && !csv.includes('GPU-'))
      return { type: 'failed', reason: `nvidia-smi: ${firstLine(csv)} (exit status ${status})` }
    return { type: 'answer', csv }
  } catch (error) {
    return { type: 'failed', reason: `nvidia-smi does not start: ${String(error)}` }
  }
}

const firstLine = (text: string): string => (text.trim().split('\n')[0] ?? '').slice(0, 300)

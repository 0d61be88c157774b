import type { GpuInventory } from '../protocol/gpu.ts'
import { ioregArguments, parseIoreg } from './apple-ioreg.ts'
import { parseMacGraphics, parseMacHardware, profilerArguments } from './apple-profile.ts'
import { macMemory, parseSysctl, sysctlArguments } from './apple-sysctl.ts'
import { runCommand, type RunCommand } from './machine-command.ts'
import { unknownReading, type GpuProbe } from './probe.ts'
import { mbOf } from './sysfs.ts'

/** system_profiler needs seconds on a busy Mac. */
const profilerTimeLimitMs = 20_000
const quickTimeLimitMs = 5_000

/** GPUs of a Mac. Temperature and power would take root (powermetrics) and stay null. */
export function createAppleProbe(run: RunCommand = runCommand): GpuProbe {
  let known: readonly GpuInventory[] = []
  return {
    async inventory() {
      const [profile, sysctl] = await Promise.all([
        run(['/usr/sbin/system_profiler', ...profilerArguments], profilerTimeLimitMs),
        run(['/usr/sbin/sysctl', ...sysctlArguments], quickTimeLimitMs),
      ])
      if (profile.type === 'absent') return { gpus: [], problems: [] }
      if (profile.type === 'failed') return { gpus: [], problems: [profile.reason] }
      const memory = macMemory(parseSysctl(sysctl.type === 'answer' ? sysctl.stdout : ''))
      const totalMb = memory.totalMb ?? parseMacHardware(profile.stdout).memoryMb
      known = parseMacGraphics(profile.stdout, { ...memory, totalMb })
      return { gpus: known, problems: [] }
    },
    async readings() {
      if (known.length === 0) return []
      const answer = await run(['/usr/sbin/ioreg', ...ioregArguments], quickTimeLimitMs)
      const told = answer.type === 'answer' ? parseIoreg(answer.stdout) : []
      return known.map(gpu => {
        // Several accelerators of an Intel Mac cannot be told apart for certain; one of one can.
        const now = known.length === 1 && told.length === 1 ? told[0] : undefined
        if (now === undefined) return unknownReading(gpu.id)
        return {
          ...unknownReading(gpu.id),
          utilization_pct: now.utilizationPct,
          vram_used_mb: mbOf(now.inUseBytes),
          vram_total_mb: gpu.vramTotalMb,
        }
      })
    },
  }
}

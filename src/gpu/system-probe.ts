import { createAmdProbe } from './amd-probe.ts'
import { createAppleProbe } from './apple-probe.ts'
import { createIntelProbe } from './intel-probe.ts'
import { readSystemText } from './machine.ts'
import { joinProbes, type NamedProbe } from './machine-probes.ts'
import { createNvidiaProbe } from './nvidia-probe.ts'
import type { GpuProbe } from './probe.ts'
import { createListedProbe } from './systeminformation-graphics.ts'
import { createWindowsProbe } from './windows-probe.ts'
import { createAccessProbe } from './wsl.ts'

/**
 * The probe of this machine: who knows a device best comes first, and the operating system's own list last, for what
 * nobody else has found.
 */
export const createSystemProbe = (): GpuProbe =>
  joinProbes([
    { name: 'nvidia', probe: createNvidiaProbe() },
    ...platformProbes(process.platform),
    { name: 'system list', probe: createListedProbe(readSystemText) },
  ])

function platformProbes(platform: NodeJS.Platform): readonly NamedProbe[] {
  if (platform === 'linux')
    return [
      { name: 'access', probe: createAccessProbe() },
      { name: 'amd', probe: createAmdProbe() },
      { name: 'intel', probe: createIntelProbe() },
    ]
  if (platform === 'darwin') return [{ name: 'apple', probe: createAppleProbe() }]
  if (platform === 'win32') return [{ name: 'windows', probe: createWindowsProbe() }]
  return []
}

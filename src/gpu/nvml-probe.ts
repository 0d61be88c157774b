import { createProbeOver, type NvidiaProbe, type NvidiaSource } from './nvidia-look.ts'
import { NvmlProcess, nvmlProcessOptions, type NvmlProcessOptions } from './nvml-process.ts'
import { nvmlProblem } from './nvml-status.ts'

/**
 * NVML as a source of devices. On a machine without it the reading process ends at once and is started again only by
 * the next look.
 */
export function createNvmlSource(options: NvmlProcessOptions = nvmlProcessOptions()): NvidiaSource {
  const reader = new NvmlProcess(options)
  return {
    async look() {
      const outcome = await reader.look()
      switch (outcome.type) {
        case 'devices':
          // A process that would only wait takes 60 MB of memory, 20 of them its own.
          if (outcome.devices.length === 0 && outcome.goneCount === 0) await reader.close()
          return { ...outcome, method: 'nvml' }
        case 'no_library':
          await reader.close()
          return { type: 'absent' }
        case 'refused':
          await reader.close()
          return { type: 'failed', problem: nvmlProblem('NVIDIA driver', outcome.status) }
        case 'died':
        case 'hung':
          return { type: 'failed', problem: `NVIDIA driver: ${outcome.reason}` }
      }
    },
    close: () => reader.close(),
  }
}

/** Probes NVIDIA devices through NVML alone. */
export const createNvmlProbe = (options?: NvmlProcessOptions): NvidiaProbe =>
  createProbeOver([createNvmlSource(options)])

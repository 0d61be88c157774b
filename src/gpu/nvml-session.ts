import { limits } from '../protocol/limits.ts'
import type { NvidiaDevice } from './nvidia-device.ts'
import { firstOf, textOf, uintOf } from './nvml-call.ts'
import { readDevice, type NvmlDriver } from './nvml-device.ts'
import type { NvmlLibrary } from './nvml-library.ts'
import { nvmlProblem, type NvmlStatus } from './nvml-status.ts'

/** One look at all devices. */
export type NvmlLook =
  | {
      readonly type: 'devices'
      readonly devices: readonly NvidiaDevice[]
      /** Devices that the driver counts and that do not answer. */
      readonly goneCount: number
      readonly problems: readonly string[]
    }
  /** NVML does not start, so that nothing is known about any device. */
  | { readonly type: 'refused'; readonly status: NvmlStatus }

/**
 * Keeps NVML started between looks: starting it takes from 0.1 s to seconds per card where no persistence daemon runs.
 * After an error that a new start may heal (a lost card that came back, a reloaded driver) the next look starts it anew.
 */
export class NvmlSession {
  readonly #library: NvmlLibrary
  #started = false

  constructor(library: NvmlLibrary) {
    this.#library = library
  }

  look(): NvmlLook {
    const started = this.#start()
    if (started !== 'SUCCESS') return { type: 'refused', status: started }
    const library = this.#library
    const devices: NvidiaDevice[] = []
    const problems: string[] = []
    const count = uintOf(slot =>
      firstOf(library, ['nvmlDeviceGetCount_v2', 'nvmlDeviceGetCount'], [slot]),
    )
    if (typeof count !== 'number') {
      this.end()
      return { type: 'refused', status: count }
    }
    const driver = readDriver(library)
    for (let index = 0; index < Math.min(count, limits.gpusPerAgentMax); index += 1) {
      const device = readDevice(library, index, driver)
      if (typeof device === 'string') problems.push(nvmlProblem(`GPU ${index}`, device))
      else devices.push(device)
    }
    if (problems.length > 0) this.end()
    return { type: 'devices', devices, goneCount: problems.length, problems }
  }

  /** Gives the driver back; the next look starts NVML anew. */
  end(): void {
    if (this.#started) this.#library.call('nvmlShutdown')
    this.#started = false
  }

  #start(): NvmlStatus {
    if (this.#started) return 'SUCCESS'
    const status = firstOf(this.#library, ['nvmlInit_v2', 'nvmlInit'], [])
    this.#started = status === 'SUCCESS' || status === 'ALREADY_INITIALIZED'
    return this.#started ? 'SUCCESS' : status
  }
}

function readDriver(library: NvmlLibrary): NvmlDriver {
  const version = uintOf(slot =>
    firstOf(
      library,
      ['nvmlSystemGetCudaDriverVersion_v2', 'nvmlSystemGetCudaDriverVersion'],
      [slot],
    ),
  )
  const cuda = typeof version === 'number' && version >= 1_000 ? version : null
  return {
    driverVersion: textOf((buffer, length) =>
      library.call('nvmlSystemGetDriverVersion', buffer, length),
    ).text,
    cudaVersion: cuda === null ? null : `${Math.floor(cuda / 1_000)}.${(cuda % 1_000) / 10}`,
  }
}

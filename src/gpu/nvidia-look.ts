import type { GpuInventory } from '../protocol/gpu.ts'
import { limits } from '../protocol/limits.ts'
import { inventoryOf, readingOf, type NvidiaDevice, type NvidiaMethod } from './nvidia-device.ts'
import { unknownReading, type GpuProbe } from './probe.ts'

/** What one way of asking found at one time. */
export type NvidiaLook =
  | {
      readonly type: 'devices'
      readonly method: NvidiaMethod
      readonly devices: readonly NvidiaDevice[]
      /** Devices that are there and do not answer. */
      readonly goneCount: number
      readonly problems: readonly string[]
    }
  /** There is no such way on this machine. */
  | { readonly type: 'absent' }
  | { readonly type: 'failed'; readonly problem: string }

export type NvidiaSource = {
  /** Never rejects; bounded in time. */
  look(): Promise<NvidiaLook>
  close(): Promise<void>
}

export type NvidiaProbe = GpuProbe & {
  /** What is wrong now, for the owner, as of the newest inventory or readings. */
  problems(): readonly string[]
  /** Ends the processes that the probe has started. */
  close(): Promise<void>
}

type Found = Extract<NvidiaLook, { type: 'devices' }>

/**
 * Asks the sources in order, at each inventory from the first one; readings begin with the source that answered then.
 * A device that does not answer any more keeps its id and its facts, with null readings and a problem, until it returns.
 */
export function createProbeOver(sources: readonly NvidiaSource[]): NvidiaProbe {
  let known: readonly GpuInventory[] = []
  let active = 0
  let problems: readonly string[] = []

  const ask = async (from: number): Promise<Found | null> => {
    const failures: string[] = []
    for (const [at, source] of sources.entries()) {
      if (at < from) continue
      const look = await source.look()
      if (look.type === 'failed') failures.push(look.problem)
      if (look.type !== 'devices') continue
      active = at
      problems = [...asNotes(failures, look.method), ...look.problems]
      return look
    }
    problems = failures
    return null
  }

  return {
    async inventory() {
      const found = await ask(0)
      if (found !== null) {
        const present = found.devices.map(device => inventoryOf(device, found.method))
        known = [...present, ...missingOf(known, present).slice(0, found.goneCount)].slice(
          0,
          limits.gpusPerAgentMax,
        )
        problems = [...problems, ...present.filter(isSplit).map(splitProblem)]
      }
      return { gpus: known, problems }
    },
    async readings() {
      if (known.length === 0) return []
      const found = await ask(active)
      const readings = (found?.devices ?? []).map(readingOf)
      const missing = missingOf(known, readings)
      if (found !== null)
        problems = [...problems, ...missing.map(gpu => `${gpu.name} (${gpu.id}) does not answer`)]
      return known.map(
        gpu => readings.find(reading => reading.id === gpu.id) ?? unknownReading(gpu.id),
      )
    },
    problems: () => problems,
    async close() {
      for (const source of sources) await source.close()
    },
  }
}

const missingOf = (
  known: readonly GpuInventory[],
  present: readonly { readonly id: string }[],
): readonly GpuInventory[] => known.filter(gpu => !present.some(({ id }) => id === gpu.id))

const asNotes = (failures: readonly string[], method: NvidiaMethod): readonly string[] =>
  failures.map(failure => `${failure}; read by ${method} instead`)

const isSplit = (gpu: GpuInventory): boolean => gpu.migEnabled === true

const splitProblem = (gpu: GpuInventory): string =>
  `${gpu.name} (${gpu.id}) is split into instances (MIG), and the memory of an instance is not known; ` +
  'to lend the whole card, end its programs and turn MIG off with "nvidia-smi -mig 0"'

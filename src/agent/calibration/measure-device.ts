import { mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSyntheticGguf } from '../../models/synthetic-gguf.ts'
import type { DeviceMeasured, Inventory } from '../../protocol/gpu.ts'
import { limits } from '../../protocol/limits.ts'
import { agentLimits } from '../agent-limits.ts'
import type { MeasureOutcome, Measuring, StartMeasuring } from '../engine/measuring.ts'
import { explainFileError } from '../state-dir.ts'
import type { Timers } from '../timers.ts'
import type { Measured } from '../worker/measure-message.ts'
import { calibrationModel, type CalibrationModel } from './calibration-model.ts'
import { environmentFor, mismatch, processorId } from './devices.ts'
import { noFigures } from './calibration-file.ts'

export type MeasureDeps = {
  /** Where the model's file lies while it is needed; removed with everything in it. */
  readonly folder: string
  readonly engineVersion: string
  readonly startMeasuring: StartMeasuring
  readonly timers: Timers
  /** Memory that a new process could get now. */
  readonly availableBytes: () => number
  /** Models of our own hold memory of the devices, so what is free says nothing. */
  readonly modelsLoaded: () => boolean
  /** Cores that others keep busy now. */
  readonly busyCores: () => number | null
}

/** Figures, or why there are none. */
export type DeviceOutcome =
  { readonly figures: Figures } | { readonly problem: string; readonly engine: string }
type Figures = Omit<DeviceMeasured, 'atMs'>

/**
 * Measures one device with a model written for the purpose.
 * @param signal aborted: the process is killed, and what comes out means nothing
 */
export async function measureDevice(
  deviceId: string,
  inventory: Inventory,
  deps: MeasureDeps,
  signal: AbortSignal,
): Promise<DeviceOutcome> {
  const gpu = inventory.gpus.find(({ id }) => id === deviceId)
  const busyCores = deps.busyCores()
  const engine = deps.engineVersion
  try {
    await rm(deps.folder, { recursive: true, force: true })
    await mkdir(deps.folder, { recursive: true, mode: 0o700 })
    const made = await makeModel(inventory, gpu ?? null, deps)
    if ('problem' in made) return { ...made, engine }
    const modelPath = join(deps.folder, 'model.gguf')
    await writeSyntheticGguf(modelPath, made.model, 'random', signal)
    signal.throwIfAborted()
    const modelsLoaded = deps.modelsLoaded()
    const measuring = deps.startMeasuring({
      modelPath,
      gpu: gpu !== undefined,
      threadsMax: inventory.cpu.physicalCores,
      plan: 'search',
      budgetMs: agentLimits.calibrationBudgetMs,
      environment: gpu === undefined ? {} : environmentFor(gpu, process.env),
    })
    const kind = gpu === undefined ? 'cpu' : 'gpu'
    const outcome = await within(measuring, agentLimits.calibrationTimeoutMs[kind], deps, signal)
    if (outcome.type === 'failed') return { problem: outcome.error.message, engine }
    const wrong = gpu === undefined ? null : mismatch(gpu, inventory.gpus, outcome.deviceNames)
    if (wrong !== null) return { problem: wrong, engine }
    return { figures: figuresOf(outcome, made, { engine, busyCores, modelsLoaded }) }
  } catch (error) {
    return { problem: `the model to measure with: ${explainFileError(error)}`, engine }
  } finally {
    await rm(deps.folder, { recursive: true, force: true })
  }
}

async function makeModel(
  inventory: Inventory,
  gpu: Inventory['gpus'][number] | null,
  { folder, availableBytes }: MeasureDeps,
): Promise<CalibrationModel | { readonly problem: string }> {
  const { bavail, bsize } = await statfs(folder)
  const room = { availableMemoryBytes: availableBytes(), diskFreeBytes: bavail * bsize }
  if (gpu === null) {
    const lastCacheBytes = inventory.cpu.cacheBytes?.l3 ?? null
    return calibrationModel({ ...room, kind: 'cpu', lastCacheBytes })
  }
  const vramMb = gpu.memoryUsableMb ?? gpu.vramTotalMb
  const vramBytes = vramMb === null ? null : vramMb * 1024 ** 2
  return calibrationModel({ ...room, kind: 'gpu', vramBytes })
}

/** Waits for the outcome; when time is up or somebody wants the device, the process is killed. */
async function within(
  measuring: Measuring,
  timeoutMs: number,
  { timers }: MeasureDeps,
  signal: AbortSignal,
): Promise<MeasureOutcome> {
  let late = false
  const stop = () => void measuring.stop()
  const cancelTimer = timers.after(timeoutMs, () => {
    late = true
    stop()
  })
  signal.addEventListener('abort', stop)
  const outcome = await measuring.outcome
  signal.removeEventListener('abort', stop)
  cancelTimer()
  if (!late || outcome.type === 'measured') return outcome
  const message = `it took longer than ${timeoutMs / 1_000} s`
  return { type: 'failed', error: { code: 'timeout', message }, crashed: true }
}

function figuresOf(
  measured: Measured,
  { decodeBytesPerToken, prefillFlopPerToken }: CalibrationModel,
  about: {
    readonly engine: string
    readonly busyCores: number | null
    readonly modelsLoaded: boolean
  },
): Figures {
  const { points, threads, backend, vram } = measured
  const point = points.findLast(each => each.threads === threads && each.prefillTokensPerS !== null)
  const memory = vram === null ? { usableMb: null, reason: null } : usableMemory(vram, about)
  const speed = (tokensPerS: number | null, workPerToken: number) =>
    tokensPerS === null ? null : { tokensPerS, workPerToken }
  return {
    decode: speed(point?.decodeTokensPerS ?? null, decodeBytesPerToken),
    prefill: speed(point?.prefillTokensPerS ?? null, prefillFlopPerToken),
    memoryUsableMb: memory.usableMb,
    ...(vram === null && { threads, busyCores: about.busyCores }),
    engine: `${about.engine} ${backend}`.slice(0, 128),
    reason: memory.reason,
  }
}

/** Below this free share of a device somebody else holds memory that is not always taken. */
const freeShareMin = 0.75

function usableMemory(
  { totalBytes, freeBytes }: { readonly totalBytes: number; readonly freeBytes: number },
  { modelsLoaded }: { readonly modelsLoaded: boolean },
): { readonly usableMb: number | null; readonly reason: string | null } {
  const [freeMb, totalMb] = [freeBytes, totalBytes].map(bytes => Math.floor(bytes / 1024 ** 2))
  const of = `${freeMb} of ${totalMb} MB were free`
  if (modelsLoaded) return { usableMb: null, reason: `usable memory: models were loaded, ${of}` }
  if (freeBytes < freeShareMin * totalBytes)
    return { usableMb: null, reason: `usable memory: other programs held much of it, ${of}` }
  return { usableMb: freeMb ?? null, reason: null }
}

/** The figures of a device that could not be measured. */
export const uncalibrated = (
  deviceId: string,
  { problem, engine }: { readonly problem: string; readonly engine: string },
): Figures => ({
  ...noFigures,
  ...(deviceId === processorId && { threads: null }),
  engine: engine.slice(0, 128),
  reason: problem.slice(0, limits.errorTextBytesMax),
})

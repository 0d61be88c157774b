import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readGgufHeader } from '../../src/models/gguf-header.ts'
import { memoryNeed, type MemoryNeed } from '../../src/models/memory-need.ts'
import { modelShape } from '../../src/models/model-shape.ts'
import { writeSyntheticGguf } from '../../src/models/synthetic-gguf.ts'
import type { MemoryCase } from './cases.ts'
import type { MeasureOrder, SideTaken, Taken } from './measure-order.ts'

/** The estimate may be off by this share, or by this many bytes where that is more. */
export const tolerance = { share: 0.05, bytes: 64 * 1024 ** 2 } as const

export type SideComparison = {
  readonly side: 'gpu' | 'cpu'
  readonly estimated: SideTaken
  readonly taken: SideTaken
  readonly estimatedBytes: number
  readonly takenBytes: number
  readonly holds: boolean
}

export type MemoryComparison = {
  readonly case: MemoryCase
  readonly gpuLayers: number | null
  /** A side that neither estimate nor llama.cpp puts anything on is left out. */
  readonly sides: readonly SideComparison[]
  /** Resident size of the whole process, and what it should be: CPU, worker, and what is left mapped. */
  readonly residentBytes: number
  readonly residentEstimatedBytes: number
}

const demoPath = join(import.meta.dir, '../../models/demo/gpupool-demo.gguf')
const cacheTypeNumbers = { F16: 1, Q8_0: 8 } as const

/** Estimates one case from the file's header, lets llama.cpp load it, and puts both side by side. */
export async function compareMemory(
  memoryCase: MemoryCase,
  gpuLayers: number | null,
): Promise<MemoryComparison> {
  const folder = mkdtempSync(join(tmpdir(), 'gpupool-memory-'))
  try {
    const path = join(folder, 'model.gguf')
    if (memoryCase.model !== null)
      await writeSyntheticGguf(path, memoryCase.model, memoryCase.weights)
    const modelPath = memoryCase.model === null ? demoPath : path
    const need = estimate(modelPath, memoryCase, gpuLayers)
    const taken = await measure({ ...orderOf(memoryCase), modelPath, gpuLayers })
    return {
      case: memoryCase,
      gpuLayers,
      sides: sidesOf(need, taken),
      residentBytes: taken.residentBytes,
      residentEstimatedBytes: need.cpu.totalBytes + need.workerBytes + need.fileCacheBytes,
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const orderOf = ({
  contextTokensPerSlot,
  slots,
  batchTokens,
  cacheType,
  flashAttention,
}: MemoryCase): Omit<MeasureOrder, 'modelPath' | 'gpuLayers'> => ({
  contextTokensPerSlot,
  slots,
  batchTokens,
  cacheType,
  flashAttention,
})

function estimate(path: string, memoryCase: MemoryCase, gpuLayers: number | null): MemoryNeed {
  const header = readGgufHeader(path)
  const shape = typeof header === 'string' ? header : modelShape(header)
  if (typeof shape === 'string') throw new Error(shape)
  const cacheType = cacheTypeNumbers[memoryCase.cacheType]
  const need = memoryNeed({
    ...memoryCase,
    shape,
    gpuLayers,
    cacheTypes: { keys: cacheType, values: cacheType },
  })
  if (typeof need === 'string') throw new Error(need)
  return need
}

/** Runs the measuring process to its end. */
async function measure(order: MeasureOrder): Promise<Taken> {
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, 'measure-child.ts'), JSON.stringify(order)],
    { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
  )
  const [out, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  if (code !== 0) throw new Error(`the measuring process ended with ${code}: ${errors.slice(-500)}`)
  return JSON.parse(out)
}

function sidesOf(need: MemoryNeed, taken: Taken): readonly SideComparison[] {
  // llama.cpp counts the whole range of the file that it keeps mapped as weights.
  const cpu = { ...need.cpu, weightsBytes: need.cpu.weightsBytes + need.fileCacheBytes }
  return [compareSide('gpu', need.gpu, taken.gpu), compareSide('cpu', cpu, taken.cpu)].filter(
    ({ estimatedBytes, takenBytes }) => estimatedBytes + takenBytes > 0,
  )
}

function compareSide(
  side: SideComparison['side'],
  estimated: SideTaken,
  taken: SideTaken,
): SideComparison {
  const estimatedBytes = sum(estimated)
  const takenBytes = sum(taken)
  const allowed = Math.max(tolerance.bytes, takenBytes * tolerance.share)
  const holds = Math.abs(estimatedBytes - takenBytes) <= allowed
  return { side, estimated, taken, estimatedBytes, takenBytes, holds }
}

const sum = ({ weightsBytes, kvCacheBytes, computeBytes, outputBytes }: SideTaken): number =>
  weightsBytes + kvCacheBytes + computeBytes + outputBytes

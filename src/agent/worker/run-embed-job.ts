import type { Failure } from '../../protocol/errors.ts'
import { scoreDimensions } from '../../protocol/embed-job.ts'
import { limits } from '../../protocol/limits.ts'
import { encodeVectorFrame } from '../../protocol/vector-frame.ts'
import type { EmbedEngineJob } from '../engine/engine.ts'
import type { Embedder, PreparedInput } from './embedder.ts'
import { engineFault } from './engine-fault.ts'
import type { JobEntry } from './job-table.ts'
import type { WorkerOutput } from './worker-output.ts'

/**
 * Makes the vectors of one job, on as many lanes as are free, and sends them in the order of the inputs. Never rejects:
 * what goes wrong is the job's `failed`. A cancel takes effect when the inputs that are being computed are done.
 */
export async function runEmbedJob(
  embedder: Embedder,
  entry: JobEntry<EmbedEngineJob>,
  output: WorkerOutput,
): Promise<void> {
  const { stream, attempt, embed } = entry.job
  let failure: Failure | null
  try {
    const inputs = embedder.prepare(embed)
    failure = 'code' in inputs ? inputs : await compute(embedder, entry, inputs, output)
  } catch (error) {
    failure = engineFault(error)
  }
  if (entry.cancelled) return
  output.say(
    failure === null
      ? { type: 'finished', stream, attempt, reason: 'stop', tokens: 0 }
      : { type: 'failed', stream, attempt, error: failure },
  )
}

/** @returns why not all vectors were made; null: they were, or the job was cancelled */
async function compute(
  embedder: Embedder,
  entry: JobEntry<EmbedEngineJob>,
  inputs: readonly PreparedInput[],
  output: WorkerOutput,
): Promise<Failure | null> {
  const { stream, attempt, embed } = entry.job
  const normalise = embed.kind === 'embedding' && embed.normalise
  const done = new Map<number, Float32Array>()
  let failure: Failure | null = null
  let begun = 0
  let sent = 0
  const send = () => {
    for (let values = done.get(sent); values !== undefined; values = done.get(sent)) {
      const promptTokens = inputs[sent]?.tokens ?? 0
      output.sendTokenFrame(
        encodeVectorFrame({ stream, attempt, index: sent, promptTokens, values }),
      )
      done.delete(sent++)
    }
  }
  const work = async () => {
    while (failure === null && !entry.cancelled) {
      const index = begun++
      const input = inputs[index]
      if (input === undefined) return
      const raw = await embedder.lanes.with(async lane =>
        entry.cancelled || failure !== null ? [] : input.compute(lane),
      )
      if (entry.cancelled || failure !== null) return
      failure = vectorProblem(raw, embed.kind)
      if (failure !== null) return
      done.set(index, normalise ? normalised(raw) : Float32Array.from(raw))
      send()
    }
  }
  await Promise.all(Array.from({ length: embedder.slots }, work))
  return failure
}

/** What the library gave must be a vector before it is one of ours. */
function vectorProblem(
  values: readonly number[],
  kind: EmbedEngineJob['embed']['kind'],
): Failure | null {
  const broken = (what: string): Failure => ({
    code: 'internal',
    message: `the engine made ${what}`,
  })
  if (values.length === 0) return broken('an empty vector')
  if (kind === 'rerank' && values.length !== scoreDimensions) return broken('more than one score')
  if (values.length > limits.embeddingDimensionsMax)
    return broken(
      `a vector of ${values.length} values; ${limits.embeddingDimensionsMax} can be sent`,
    )
  return values.every(Number.isFinite) ? null : broken('a vector that is not finite')
}

/**
 * To length 1; the sum runs in 64 bits, so that the length is 1 to the last bit of a 32-bit value. A vector of zeros has
 * no direction and stays.
 */
export function normalised(values: ArrayLike<number>): Float32Array {
  let squares = 0
  for (let i = 0; i < values.length; i++) squares += (values[i] ?? 0) ** 2
  const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares)
  return Float32Array.from(values, value => value * scale)
}

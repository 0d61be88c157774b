import type { Llama, LlamaContextSequence, LlamaModel } from 'node-llama-cpp'
import { systemClock } from '../../clock.ts'
import { batchTokensMax } from '../../models/serving-need.ts'
import { tokenOf } from './token-of.ts'
import type { Measured, MeasureReport, MeasureRequest } from './measure-message.ts'
import { openLlama } from './open-llama.ts'
import { ThreadSweep, type ThreadPoint } from './thread-sweep.ts'

/** How long one figure is taken, and of how many tokens: long enough to see others' work, short enough to give way. */
const window = { minMs: 300, tokensMin: 4, tokensMax: 256 } as const
/** A prompt's piece on a processor: large enough for its matrix kernels, done in a fraction of a second. */
const cpuPieceTokens = 64
/** Decoding slower than this share of the best is past every hope, and a prompt would take many seconds. */
const hopelessRatio = 0.5
const contextTokens = 1024

/**
 * Measures what a device does with a model: the processor with several numbers of threads, a GPU once.
 * Never rejects.
 */
export async function measure(request: MeasureRequest): Promise<MeasureReport> {
  try {
    return await measureIn(request)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return {
      type: 'measure_failed',
      error: { code: 'model_load_failed', message: message.slice(0, 1_000) },
    }
  }
}

async function measureIn(request: MeasureRequest): Promise<Measured> {
  const deadline = systemClock.now() + request.budgetMs
  const gpuLayers = request.gpu ? 'auto' : null
  const llama = await openLlama({ threads: request.threadsMax, gpuLayers })
  if (request.gpu && llama.gpu === false) throw new Error('the engine finds no GPU that it can use')
  const about = await describe(llama)
  const model = await llama.loadModel({
    modelPath: request.modelPath,
    gpuLayers: request.gpu ? 'max' : 0,
  })
  const meter = new Meter(model, request.gpu ? batchTokensMax : cpuPieceTokens)
  if (request.gpu) {
    // The first steps compile and record what later ones use.
    await meter.point(1, 0)
    return { ...about, threads: 1, points: [await meter.point(1, 0)] }
  }
  return { ...about, ...(await sweepThreads(request, meter, deadline)) }
}

async function describe(
  llama: Llama,
): Promise<Pick<Measured, 'type' | 'backend' | 'deviceNames' | 'vram'>> {
  if (llama.gpu === false) return { type: 'measured', backend: 'cpu', deviceNames: [], vram: null }
  const { total, free } = await llama.getVramState()
  return {
    type: 'measured',
    backend: llama.gpu,
    deviceNames: await llama.getGpuDeviceNames(),
    vram: { totalBytes: total, freeBytes: free },
  }
}

async function sweepThreads(
  { threadsMax, plan }: MeasureRequest,
  meter: Meter,
  deadline: number,
): Promise<Pick<Measured, 'threads' | 'points'>> {
  const sweep = new ThreadSweep(threadsMax)
  const points: ThreadPoint[] = []
  // Once for the pages of the file, which come in at first touch.
  await meter.point(1, 0)
  const next = (): number | null =>
    plan === 'search' ? sweep.next() : points.length < threadsMax ? points.length + 1 : null
  for (let threads = next(); threads !== null; threads = next()) {
    if (points.length > 0 && systemClock.now() >= deadline) break
    const best = Math.max(0, ...points.map(point => point.decodeTokensPerS))
    const point = await meter.point(threads, plan === 'search' ? best : 0)
    points.push(point)
    sweep.add(point)
  }
  return { threads: sweep.choice, points }
}

/** Takes single figures, each in a context of its own: the number of threads belongs to the context. */
class Meter {
  readonly #model: LlamaModel
  readonly #piece: ReturnType<typeof tokenOf>[]

  constructor(model: LlamaModel, pieceTokens: number) {
    this.#model = model
    this.#piece = Array.from({ length: pieceTokens }, (_, at) => tokenOf(300 + at))
  }

  /** @param best decode of the best point so far, 0 for none */
  async point(threads: number, best: number): Promise<ThreadPoint> {
    const context = await this.#model.createContext({
      contextSize: contextTokens,
      sequences: 1,
      threads,
      batchSize: this.#piece.length,
      flashAttention: 'auto',
    })
    const sequence = context.getSequence()
    const decodeTokensPerS = await this.#decode(sequence)
    const prefillTokensPerS =
      decodeTokensPerS < hopelessRatio * best ? null : await this.#prefill(sequence)
    await context.dispose()
    return { threads, decodeTokensPerS, prefillTokensPerS }
  }

  /** One token after the other, sampled as for an answer. */
  async #decode(sequence: LlamaContextSequence): Promise<number> {
    await step(sequence, 300)
    return timed(1, window.tokensMin, at => step(sequence, 301 + at))
  }

  async #prefill(sequence: LlamaContextSequence): Promise<number> {
    return timed(this.#piece.length, 1, async () => {
      await sequence.clearHistory()
      await sequence.evaluateWithoutGeneratingNewTokens(this.#piece)
    })
  }
}

/** @returns tokens per second of steps of so many tokens each */
async function timed(
  tokensPerStep: number,
  stepsMin: number,
  run: (at: number) => Promise<void>,
): Promise<number> {
  const begun = systemClock.now()
  for (let steps = 1; ; steps++) {
    await run(steps - 1)
    const tookMs = systemClock.now() - begun
    const enough = tookMs >= window.minMs || steps * tokensPerStep >= window.tokensMax
    if (steps >= stepsMin && enough && tookMs > 0) return (steps * tokensPerStep * 1_000) / tookMs
  }
}

async function step(sequence: LlamaContextSequence, tokenId: number): Promise<void> {
  const iterator = sequence.evaluate([tokenOf(tokenId)], { temperature: 0, yieldEogToken: true })
  await iterator.next()
  await iterator.return()
}

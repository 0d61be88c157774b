import type { Arithmetic } from './card.ts'

/** How fast a device ran a model, with the work that one token was. */
export type Measured = {
  readonly tokensPerS: number
  /** Decode: bytes of weights and KV cache read per token. Prefill: floating-point operations per token. */
  readonly workPerToken: number
}

/** What the score is made of; null is unknown. */
export type ScoreInput = {
  /** Memory that models may take, MB. */
  readonly memoryMb: number | null
  /** Peak, decimal GB/s. */
  readonly bandwidthGBs: number | null
  /** Peak of the shader units, dense. */
  readonly fp16Tflops: number | null
  readonly int8: Arithmetic
  /** Calibration or history; replaces the estimate from `bandwidthGBs`. */
  readonly measuredDecode: Measured | null
  /** Calibration or history; replaces the estimate from `fp16Tflops`. */
  readonly measuredPrefill: Measured | null
}

export type CapabilityScore = {
  /** 0 to 100, one decimal; the sum of the parts. */
  readonly score: number
  readonly parts: Readonly<Record<PartName, number>>
  readonly speed: DeviceSpeed
  /** For example `62.1 = 22.8 memory (24.0 GB) + …`. */
  readonly explanation: string
}

/** What a device does with the reference model, measured or estimated. Null: not known. */
export type DeviceSpeed = {
  readonly decodeTokensPerS: number | null
  readonly prefillTokensPerS: number | null
}

type PartName = 'memory' | 'decode' | 'prefill' | 'quantisation'

/**
 * An 8B model at 4 to 5 bits a weight, the commonest thing people serve: its weights, and two operations per parameter
 * and token. Every device is judged by what it would do with this one model.
 */
export const referenceModel = { bytesPerToken: 4.9e9, flopPerToken: 16e9 }

/**
 * Share of the peak that llama.cpp reaches. Decode reads at 60 to 70 % of a data sheet's bandwidth (an M1 Max with 400
 * GB/s sustains 275: ggml-org/llama.cpp#2188). Prefill differs more, and matrix units may pass the shaders' peak; half
 * of it is a careful guess that the first calibration replaces.
 */
export const efficiency = { decode: 0.6, prefill: 0.5 }

/** @returns tokens per second while answering one request: each token reads all weights once */
export const estimateDecodeTokensPerS = (bandwidthGBs: number, bytesPerToken: number): number =>
  (bandwidthGBs * 1e9 * efficiency.decode) / bytesPerToken

/** @returns tokens per second while reading a prompt */
export const estimatePrefillTokensPerS = (fp16Tflops: number, flopPerToken: number): number =>
  (fp16Tflops * 1e12 * efficiency.prefill) / flopPerToken

/**
 * The capability score (specification 1.3), 0 to 100:
 *
 *   40 memory         log2(1 + GB / 2)       full at 192 GB
 *   35 decode         log2(1 + tokens/s / 5)   full at 1,000 tokens/s of the reference model
 *   15 prefill        log2(1 + tokens/s / 100) full at 20,000 tokens/s of the reference model
 *   10 quantisation   10 int8 matrix units, 5 int8 dot products, 0 neither
 *
 * Logarithms, since twice as much is worth the same step anywhere on the scale. Memory leads: it decides which models
 * can be served at all. What is unknown gives nothing, so it lowers a score and never makes one up. int8 stands for
 * quantisation, because llama.cpp multiplies all its quantised weights (4-bit ones too) as 8-bit integers; GPTQ and
 * AWQ are formats of other engines.
 *
 * It never falls when an input improves. A measurement is not an improvement but the truth: it replaces the estimate,
 * upwards or downwards.
 */
export function capabilityScore(input: ScoreInput): CapabilityScore {
  const memoryMb = known(input.memoryMb)
  const memoryGb = memoryMb === null ? null : memoryMb / 1024
  const decode = decodeTokensPerS(input)
  const prefill = prefillTokensPerS(input)
  const parts = {
    memory: part(40, memoryGb, { unit: 2, full: 192 }),
    decode: part(35, decode.tokensPerS, { unit: 5, full: 1_000 }),
    prefill: part(15, prefill.tokensPerS, { unit: 100, full: 20_000 }),
    quantisation: input.int8 === 'matrix' ? 10 : input.int8 === 'vector' ? 5 : 0,
  }
  const score = oneDecimal(parts.memory + parts.decode + parts.prefill + parts.quantisation)
  const words = {
    memory: memoryGb === null ? 'unknown' : `${memoryGb.toFixed(1)} GB`,
    decode: decode.words,
    prefill: prefill.words,
    quantisation: input.int8 === null ? 'unknown' : `int8: ${int8Words[input.int8]}`,
  }
  const names = Object.keys(words) as PartName[]
  const sum = names.map(name => `${parts[name]} ${name} (${words[name]})`).join(' + ')
  const speed = { decodeTokensPerS: decode.tokensPerS, prefillTokensPerS: prefill.tokensPerS }
  return { score, parts, speed, explanation: `${score} = ${sum}` }
}

const int8Words = { matrix: 'matrix units', vector: 'dot products', none: 'not in hardware' }

type Speed = { readonly tokensPerS: number | null; readonly words: string }

function decodeTokensPerS({ measuredDecode, bandwidthGBs }: ScoreInput): Speed {
  const work = referenceModel.bytesPerToken
  const measured = onReference(measuredDecode, work)
  if (measured !== null) return measured
  const peak = known(bandwidthGBs)
  return peak === null
    ? unknownSpeed
    : estimated(estimateDecodeTokensPerS(peak, work), `${peak} GB/s`)
}

function prefillTokensPerS({ measuredPrefill, fp16Tflops }: ScoreInput): Speed {
  const work = referenceModel.flopPerToken
  const measured = onReference(measuredPrefill, work)
  if (measured !== null) return measured
  const peak = known(fp16Tflops)
  return peak === null
    ? unknownSpeed
    : estimated(estimatePrefillTokensPerS(peak, work), `${peak} fp16 TFLOPS`)
}

/** A measurement of any model as one of the reference model: the same work per second, in other pieces. */
function onReference(measured: Measured | null, work: number): Speed | null {
  const tokensPerS = known(
    measured === null ? null : (measured.tokensPerS * measured.workPerToken) / work,
  )
  return tokensPerS === null ? null : { tokensPerS, words: `${inWords(tokensPerS)}, measured` }
}

const estimated = (tokensPerS: number, from: string): Speed => ({
  tokensPerS,
  words: `${inWords(tokensPerS)}, estimated from ${from}`,
})

const unknownSpeed: Speed = { tokensPerS: null, words: 'unknown' }

const inWords = (tokensPerS: number): string =>
  `${Number(tokensPerS.toPrecision(3))} tokens/s of an 8B model`

/** A figure that is none (NaN, infinite, negative) is as good as unknown. */
const known = (figure: number | null): number | null =>
  figure !== null && Number.isFinite(figure) && figure >= 0 ? figure : null

function part(
  points: number,
  value: number | null,
  scale: { readonly unit: number; readonly full: number },
): number {
  if (value === null) return 0
  const share = Math.log2(1 + value / scale.unit) / Math.log2(1 + scale.full / scale.unit)
  return oneDecimal(points * Math.min(1, share))
}

const oneDecimal = (value: number): number => Math.round(value * 10) / 10

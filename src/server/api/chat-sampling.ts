import type { Sampling } from '../../protocol/chat-job.ts'
import { limits } from '../../protocol/limits.ts'
import type { FieldReader, JsonObject } from './field-reader.ts'

/** No vocabulary is as large, so a larger number says the same. */
const topKMax = 1_000_000

/**
 * How tokens are drawn: OpenAI's fields, and `top_k`, `min_p` and `repetition_penalty` (also `repeat_penalty`) as other
 * servers have them. A value that changes nothing is left out, so that the job also goes to agents that know no more.
 */
export function parseSampling(
  body: JsonObject,
  read: FieldReader,
  randomSeed: () => number,
): Sampling {
  const number = (param: string, min: number, max: number, neutral: number) =>
    unless(neutral, read.number(body[param], param, min, max))
  const topK = unless(0, parseTopK(body['top_k'], read))
  const minP = number('min_p', 0, 1, 0)
  const frequencyPenalty = number('frequency_penalty', -2, 2, 0)
  const presencePenalty = number('presence_penalty', -2, 2, 0)
  const repeatPenalty = number('repeat_penalty', 0.01, 10, 1)
  const repetitionPenalty = number('repetition_penalty', 0.01, 10, 1) ?? repeatPenalty
  const logitBias = parseLogitBias(body['logit_bias'], read)
  return {
    temperature: read.number(body['temperature'], 'temperature', 0, 2) ?? 1,
    topP: read.number(body['top_p'], 'top_p', 0, 1) ?? 1,
    seed: parseSeed(body['seed'], read) ?? randomSeed(),
    ...(topK !== null && { topK }),
    ...(minP !== null && { minP }),
    ...(frequencyPenalty !== null && { frequencyPenalty }),
    ...(presencePenalty !== null && { presencePenalty }),
    ...(repetitionPenalty !== null && { repetitionPenalty }),
    ...(logitBias.length > 0 && { logitBias }),
  }
}

/** @returns how many of the likeliest tokens are told with each token; null: nothing is told */
export function parseLogprobs(body: JsonObject, read: FieldReader): number | null {
  const wanted = read.boolean(body['logprobs'], 'logprobs') ?? false
  const top = read.integer(body['top_logprobs'], 'top_logprobs', 0, limits.topLogprobsMax) ?? 0
  if (top > 0 && !wanted)
    read.fail('top_logprobs', "'top_logprobs' is only told with 'logprobs': true.")
  return wanted ? top : null
}

const unless = (neutral: number, value: number | null): number | null =>
  value === neutral ? null : value

/** 0 and, as some clients have it, -1 mean every token. */
function parseTopK(value: unknown, read: FieldReader): number | null {
  const topK = read.integer(value, 'top_k', -1, Infinity)
  return topK === null ? null : Math.min(Math.max(topK, 0), topKMax)
}

/** OpenAI's seeds are 64 bits, the engine's 32; hashing keeps small, large and negative ones apart. */
function parseSeed(value: unknown, read: FieldReader): number | null {
  const seed = read.integer(value, 'seed', -(2 ** 63), 2 ** 63)
  return seed === null ? null : Bun.hash.xxHash32(String(seed))
}

/** Token ids, in decimal, with what is added to their logits. */
function parseLogitBias(value: unknown, read: FieldReader): NonNullable<Sampling['logitBias']> {
  const entries = Object.entries(read.object(value, 'logit_bias') ?? {})
  if (entries.length > limits.logitBiasesMax)
    read.fail(
      'logit_bias',
      `Invalid 'logit_bias': at most ${limits.logitBiasesMax} tokens are allowed.`,
    )
  const biases: NonNullable<Sampling['logitBias']> = []
  for (const [key, wanted] of entries.slice(0, limits.logitBiasesMax)) {
    if (!/^\d{1,9}$/.test(key)) {
      read.fail('logit_bias', 'Invalid \'logit_bias\': its keys are ids of tokens, like "42".')
      break
    }
    const bias = read.number(wanted, `logit_bias.${key}`, -100, 100)
    if (bias !== null && bias !== 0) biases.push({ tokenId: Number(key), bias })
  }
  return biases
}

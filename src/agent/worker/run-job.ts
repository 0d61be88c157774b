import type { LlamaContextSequence } from 'node-llama-cpp'
import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { EngineJob } from '../engine/engine.ts'
import { AnswerWriter } from './answer-writer.ts'
import type { JobEntry } from './job-table.ts'
import { batchTokensMax } from '../../models/serving-need.ts'
import type { LoadedModel } from './load-model.ts'
import type { Prompt } from './prompt.ts'
import { neverShift, type Sampler } from './sampler.ts'
import { tokenOf } from './token-of.ts'
import type { WorkerOutput } from './worker-output.ts'

/**
 * A continuation computes the answer's earlier tokens in pieces of at most so many. They were computed one by one the
 * first time; larger batches use other kernels, whose last bits differ: with pieces of 64 and more, 51 of 843
 * continuations went another way, with 32 none did.
 */
export const replayPieceTokensMax = 32

/** Runs one job to its end in one slot and reports it. Never rejects: what goes wrong is the job's `failed`. */
export async function runJob(
  model: LoadedModel,
  entry: JobEntry<EngineJob>,
  slot: number,
  output: WorkerOutput,
): Promise<void> {
  const { job } = entry
  const { stream, attempt } = job
  const sequence = model.sequences[slot]
  if (sequence === undefined) throw new Error(`there is no slot ${slot}`)
  let result: JobResult | Failure | null
  try {
    result = await answer(model, entry, sequence, output)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    result = { code: 'internal', message: `the engine failed: ${reason.slice(0, 500)}` }
  }
  if (result === null || entry.cancelled) return
  output.say(
    'code' in result
      ? { type: 'failed', stream, attempt, error: result }
      : { type: 'finished', stream, attempt, ...result },
  )
}

type JobResult = { readonly reason: FinishReason; readonly tokens: number }

/** @returns null when the job was cancelled */
async function answer(
  model: LoadedModel,
  entry: JobEntry<EngineJob>,
  sequence: LlamaContextSequence,
  output: WorkerOutput,
): Promise<JobResult | Failure | null> {
  const { job } = entry
  const prompt = model.buildPrompt(job.chat)
  if ('code' in prompt) return prompt
  const refusal = refusalOf(model, job, prompt)
  if (refusal !== null) return refusal
  const { stream, attempt, continuation } = job
  const replayed = continuation?.tokenIds ?? []
  const sampler = await model.createSampler(job.chat, {
    reasoning: prompt.reasoning,
    replayed,
  })
  if ('code' in sampler) return sampler
  output.say({
    type: 'started',
    stream,
    attempt,
    promptTokens: prompt.tokenIds.length,
    promptSha256: prompt.sha256,
  })
  const writer = createWriter(model, job, prompt, output)
  const finishReason = (): FinishReason | null => {
    if (writer.ended !== null) return writer.ended
    const { maxTokens } = job.chat
    if (maxTokens !== null && writer.tokens >= maxTokens) return 'length'
    // Sampling needs everything before the token in the context; with nothing left the library would shift it.
    return prompt.tokenIds.length + writer.tokens >= model.contextTokens ? 'length' : null
  }
  const isComplete = () => finishReason() !== null
  if (
    continuation !== null &&
    !writer.replay(continuation.tokenIds, continuation.deliveredBytes, isComplete)
  )
    return { code: 'internal', message: 'the continuation does not fit what was delivered' }
  if (!isComplete()) {
    const generation = { prompt, replayed, sampler, writer, isComplete }
    const done = await generate(model, entry, sequence, generation)
    if (!done) return null
    writer.finish()
  }
  return { reason: finishReason() ?? 'stop', tokens: writer.tokens }
}

/** Why a job cannot run here, before anything is computed. */
function refusalOf(model: LoadedModel, job: EngineJob, prompt: Prompt): Failure | null {
  const promptTokens = prompt.tokenIds.length
  if (promptTokens >= model.contextTokens)
    return {
      code: 'prompt_too_long',
      message: `the prompt has ${promptTokens} tokens; the context is ${model.contextTokens} tokens and must hold at least one of the answer`,
    }
  if (job.continuation === null) return null
  if (job.continuation.promptSha256 !== prompt.sha256)
    return {
      code: 'internal',
      message: 'the prompt has other tokens here than it had for the attempt before',
    }
  const tokens = promptTokens + job.continuation.tokenIds.length
  if (tokens > model.contextTokens)
    return {
      code: 'agent_refused',
      message: `the answer so far needs ${tokens} tokens; the context here is ${model.contextTokens} tokens`,
    }
  return null
}

function createWriter(
  model: LoadedModel,
  job: EngineJob,
  prompt: Prompt,
  output: WorkerOutput,
): AnswerWriter {
  const { stop, tools, parallelToolCalls, sampling } = job.chat
  return new AnswerWriter({
    stream: job.stream,
    attempt: job.attempt,
    tokenBytes: model.tokenBytes,
    isEndOfTurn: model.isEndOfTurn,
    sendTokenFrame: frame => {
      output.sendTokenFrame(frame)
    },
    reducer: {
      stop,
      tools: tools.length > 0,
      singleToolCall: parallelToolCalls === false,
      reasoning: prompt.reasoning,
      // The prompt is mixed in because a client may use one seed for every turn of a chat.
      toolCallSeed: (sampling.seed ^ Number.parseInt(prompt.sha256.slice(0, 8), 16)) >>> 0,
    },
  })
}

type Generation = {
  readonly prompt: Prompt
  readonly replayed: readonly number[]
  readonly sampler: Sampler
  readonly writer: AnswerWriter
  readonly isComplete: () => boolean
}

/** Samples until the answer is complete. @returns false when the job was cancelled */
async function generate(
  model: LoadedModel,
  entry: JobEntry<EngineJob>,
  sequence: LlamaContextSequence,
  { prompt, replayed, sampler, writer, isComplete }: Generation,
): Promise<boolean> {
  model.activity.sequences++
  try {
    await sequence.clearHistory()
    const pieces = prefillPieces(prompt.tokenIds, replayed)
    let next = pieces.pop() ?? []
    for (const piece of pieces) {
      if (entry.cancelled) return false
      await sequence.evaluateWithoutGeneratingNewTokens(piece.map(tokenOf), neverShift)
    }
    while (!entry.cancelled) {
      const tokenId = await sampler.next(sequence, next)
      if (entry.cancelled) return false
      writer.accept(tokenId)
      if (isComplete()) return true
      next = [tokenId]
    }
    return false
  } finally {
    model.activity.sequences--
  }
}

/**
 * Cuts what has to be computed before sampling. The prompt is cut as in a first attempt, and the last token before the
 * sample stands alone as it did there, so that a continuation computes what the undisturbed run computed: of 794
 * continuations none went another way; with the prompt in pieces of 32 as well, 210 did.
 * @returns pieces in order; the token behind the last one is to be sampled
 */
export function prefillPieces(prompt: readonly number[], replayed: readonly number[]): number[][] {
  const last = replayed.at(-1)
  return [
    ...piecesOf(prompt, batchTokensMax),
    ...piecesOf(replayed.slice(0, -1), replayPieceTokensMax),
    ...(last === undefined ? [] : [[last]]),
  ]
}

function piecesOf(tokenIds: readonly number[], piecesTokensMax: number): number[][] {
  const pieces: number[][] = []
  for (let at = 0; at < tokenIds.length; at += piecesTokensMax)
    pieces.push(tokenIds.slice(at, at + piecesTokensMax))
  return pieces
}

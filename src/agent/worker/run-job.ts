import type { FinishReason } from '../../protocol/chat-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { EngineJob } from '../engine/engine.ts'
import { AnswerWriter } from './answer-writer.ts'
import { engineFault } from './engine-fault.ts'
import type { JobEntry } from './job-table.ts'
import type { LoadedModel } from './load-model.ts'
import { PromptCache } from './prompt-cache.ts'
import { prefillPieces } from './prefill.ts'
import type { Prompt } from './prompt.ts'
import type { Sampler } from './sampler.ts'
import { tokenOf } from './token-of.ts'
import type { WorkerOutput } from './worker-output.ts'

/** Runs one job to its end and reports it. Never rejects: what goes wrong is the job's `failed`. */
export async function runJob(
  model: LoadedModel,
  entry: JobEntry<EngineJob>,
  output: WorkerOutput,
): Promise<void> {
  const { job } = entry
  const { stream, attempt } = job
  let result: JobResult | Failure | null
  try {
    result = await answer(model, entry, output)
  } catch (error) {
    result = engineFault(error)
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
  output: WorkerOutput,
): Promise<JobResult | Failure | null> {
  const prompt = model.buildPrompt(entry.job.chat)
  if ('code' in prompt) return prompt
  const refusal = refusalOf(model, entry.job, prompt)
  if (refusal !== null) return refusal
  const tenant = entry.job.chat.tenant ?? null
  const { slot, cachedTokens } = model.slots.take(tenant, prompt.tokenIds)
  const cache = new PromptCache(model, slot)
  // After an engine's failure nobody knows what the slot holds.
  let held: readonly number[] = []
  try {
    await cache.keep(cachedTokens)
    const result = await answerIn(model, entry, cache, prompt, output)
    held = prompt.tokenIds.slice(0, cache.tokens)
    return result
  } finally {
    model.slots.release(slot, tenant, held)
  }
}

async function answerIn(
  model: LoadedModel,
  entry: JobEntry<EngineJob>,
  cache: PromptCache,
  prompt: Prompt,
  output: WorkerOutput,
): Promise<JobResult | Failure | null> {
  const { job } = entry
  if (entry.cancelled) return null
  const { stream, attempt, continuation } = job
  const replayed = continuation?.tokenIds ?? []
  const sampler = await model.createSampler(job.chat, {
    reasoning: prompt.reasoning,
    replayed,
    // Told at once: what the engine is busy with may never end.
    onStuck: error => {
      if (!entry.cancelled) output.say({ type: 'failed', stream, attempt, error })
      entry.cancelled = true
    },
  })
  if ('code' in sampler) return sampler
  output.say({
    type: 'started',
    stream,
    attempt,
    promptTokens: prompt.tokenIds.length,
    promptSha256: prompt.sha256,
    cachedTokens: cache.tokens,
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
    const done = await generate(model, entry, cache, generation)
    if (done !== 'complete') return done
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

/** Samples until the answer is complete. @returns null when the job was cancelled, or why it cannot go on */
async function generate(
  model: LoadedModel,
  entry: JobEntry<EngineJob>,
  cache: PromptCache,
  { prompt, replayed, sampler, writer, isComplete }: Generation,
): Promise<'complete' | Failure | null> {
  const { gate } = model
  gate.enter()
  try {
    const rest = prompt.tokenIds.slice(cache.tokens)
    const pieces = prefillPieces(rest, replayed, model.pieceTokens)
    let next = pieces.pop() ?? []
    for (const piece of pieces) {
      if (entry.cancelled) return null
      await gate.pass()
      await cache.sequence.evaluateWithoutGeneratingNewTokens(piece.map(tokenOf), cache.options)
      cache.computed(piece.length)
    }
    while (!entry.cancelled) {
      await gate.pass()
      const drawn = await sampler.next(cache, next)
      cache.computed(next.length)
      if (entry.cancelled) return null
      if ('code' in drawn) return drawn
      writer.accept(drawn.tokenId, drawn.logprob)
      if (isComplete()) return 'complete'
      next = [drawn.tokenId]
    }
    return null
  } finally {
    gate.leave()
  }
}

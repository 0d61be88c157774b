import type { LlamaContextSequence, LlamaModel, LlamaModelOptions } from 'node-llama-cpp'
import { ggufFacts, tokenizerFacts } from '../../models/gguf-facts.ts'
import { readGgufHeader } from '../../models/gguf-header.ts'
import { modelKind } from '../../models/model-kind.ts'
import { batchTokensMax } from '../../models/serving-need.ts'
import type { Failure } from '../../protocol/errors.ts'
import type { EngineModel } from '../engine/engine.ts'
import { BatchCounter } from './batch-statistics.ts'
import { createBatchStrategy } from './batch-strategy.ts'
import type { Embedder } from './embedder.ts'
import { EvaluationGate } from './evaluation-gate.ts'
import { loadEmbedder } from './load-embedder.ts'
import { openLlama } from './open-llama.ts'
import { pieceTokensOn } from './prefill.ts'
import { createPromptBuilder, type BuildPrompt, type Tokenizer } from './prompt.ts'
import { loadSampling, type CreateSampler } from './sampler.ts'
import { Slots } from './slots.ts'
import { createTokenBytes, type TokenBytes } from './token-bytes.ts'
import { tokenOf } from './token-of.ts'

/** A model in memory, ready to answer chats. */
export type LoadedModel = {
  readonly kind: 'chat'
  /** Tokens that one slot holds, prompt and answer together. */
  readonly contextTokens: number
  /** One per slot. */
  readonly sequences: readonly LlamaContextSequence[]
  readonly buildPrompt: BuildPrompt
  readonly tokenBytes: TokenBytes
  readonly isEndOfTurn: (tokenId: number) => boolean
  readonly createSampler: CreateSampler
  readonly slots: Slots
  /** Tokens of one piece of a prompt; see prefill.ts. */
  readonly pieceTokens: number
  readonly gate: EvaluationGate
  readonly counter: BatchCounter
}

/**
 * Loads a model with everything node-llama-cpp would otherwise decide by itself decided here: no build, no download,
 * no log, this many threads, this context.
 * @param onProgress 0 to 1
 */
export async function loadModel(
  options: EngineModel,
  onProgress: (progress: number) => void,
): Promise<LoadedModel | Embedder | Failure> {
  const header = readGgufHeader(options.modelPath)
  if (typeof header === 'string') return { code: 'model_file_invalid', message: header }
  const facts = ggufFacts(header)
  const vocabulary = tokenizerFacts(header)
  if (typeof facts === 'string') return { code: 'model_file_invalid', message: facts }
  if (typeof vocabulary === 'string') return { code: 'model_file_invalid', message: vocabulary }
  // Beyond what it was trained for a model only babbles.
  const contextTokens = Math.min(options.contextTokens, facts.contextTokensTrained)
  const kind = modelKind(header)
  if (kind !== 'chat') {
    const vocabularyTokens = vocabulary.tokens.length
    return loadEmbedder({ ...options, kind, contextTokens, vocabularyTokens }, onProgress)
  }
  const engine = await startEngine({ ...options, contextTokens }, onProgress)
  if ('code' in engine) return engine
  const { model, sequences, pieceTokens, gate, counter } = engine
  const buildPrompt = createPromptBuilder(vocabulary, facts.chatTemplate, tokenizerOf(model))
  if (typeof buildPrompt === 'string') return { code: 'unsupported', message: buildPrompt }
  const tokenBytes = createTokenBytes(vocabulary, id => model.detokenize([tokenOf(id)], true))
  return {
    kind,
    contextTokens,
    sequences,
    buildPrompt,
    tokenBytes,
    isEndOfTurn: id => model.isEogToken(tokenOf(id)),
    createSampler: await loadSampling(model, vocabulary, tokenBytes),
    slots: new Slots(sequences.length, pieceTokens),
    pieceTokens,
    gate,
    counter,
  }
}

type GpuLayers = NonNullable<LlamaModelOptions['gpuLayers']>
type StartedEngine = Pick<LoadedModel, 'sequences' | 'pieceTokens' | 'gate' | 'counter'> & {
  readonly model: LlamaModel
}

async function startEngine(
  options: EngineModel,
  onProgress: (progress: number) => void,
): Promise<StartedEngine | Failure> {
  const { contextTokens, slots, threads, gpuLayers } = options
  // Imported late, like openLlama's.
  const { InsufficientMemoryError } = await import('node-llama-cpp')
  const gate = new EvaluationGate()
  const counter = new BatchCounter()
  const batchSize = Math.min(batchTokensMax, contextTokens * slots)
  try {
    const llama = await openLlama(options)
    const open = async (layers: GpuLayers) => {
      const model = await llama.loadModel({
        modelPath: options.modelPath,
        gpuLayers: layers,
        onLoadProgress: onProgress,
      })
      try {
        const context = await model.createContext({
          contextSize: contextTokens,
          sequences: slots,
          threads,
          batchSize,
          flashAttention: 'auto',
          batching: {
            itemPrioritizationStrategy: createBatchStrategy(() => gate.running, counter),
          },
        })
        return { model, context }
      } catch (error) {
        await model.dispose()
        throw error
      }
    }
    const fitted = { fitContext: { contextSize: contextTokens * slots } }
    const { model, context } = await open(gpuLayers === 'auto' ? fitted : (gpuLayers ?? 0)).catch(
      (error: unknown) => {
        if (typeof gpuLayers !== 'number' || !(error instanceof InsufficientMemoryError))
          throw error
        // Other programs have taken memory since it was measured: as many as go in now.
        return open({ ...fitted, max: gpuLayers })
      },
    )
    const sequences = Array.from({ length: slots }, () => context.getSequence())
    const pieceTokens = Math.min(
      batchSize,
      pieceTokensOn(model.gpuLayers > 0 ? 'gpu' : 'processor'),
    )
    return { model, sequences, pieceTokens, gate, counter }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return {
      code: error instanceof InsufficientMemoryError ? 'out_of_memory' : 'model_load_failed',
      message: message.slice(0, 1_000),
    }
  }
}

const tokenizerOf = (model: LlamaModel): Tokenizer => ({
  tokenize: (text, special, continued) =>
    model.tokenize(text, special, ...(continued ? (['trimLeadingSpace'] as const) : [])),
  bosId: model.tokens.shouldPrependBosToken ? model.tokens.bos : null,
})

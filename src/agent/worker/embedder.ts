import type { LlamaModel } from 'node-llama-cpp'
import type { ModelKind } from '../../models/model-kind.ts'
import type { EmbedInput, EmbedJob } from '../../protocol/embed-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import { Lanes } from './lanes.ts'
import { tokenOf } from './token-of.ts'

/** What one slot of a model that makes vectors can do; a context of node-llama-cpp, or in tests one that is made up. */
export type EmbedLane =
  | {
      readonly kind: 'embedding'
      readonly context: {
        calculateInputLength(input: Tokens): number
        getEmbeddingFor(input: Tokens): Promise<{ readonly vector: readonly number[] }>
      }
    }
  | {
      readonly kind: 'rerank'
      readonly context: {
        calculateInputLength(query: string, document: string): number
        rank(query: string, document: string): Promise<number>
      }
    }
type Tokens = ReturnType<LlamaModel['tokenize']>

/** One input, ready to be computed; `tokens` with those that the model wants around it. */
export type PreparedInput = {
  readonly tokens: number
  readonly compute: (lane: EmbedLane) => Promise<readonly number[]>
}

/** A model in memory that makes vectors. */
export type Embedder = {
  readonly kind: Exclude<ModelKind, 'chat'>
  /** Tokens that one input may have. */
  readonly contextTokens: number
  readonly slots: number
  readonly lanes: Lanes<EmbedLane>
  /** @returns the inputs in order, or which of them cannot be computed here and why; nothing is computed then */
  readonly prepare: (job: EmbedJob) => readonly PreparedInput[] | Failure
}

export type EmbedderParts = {
  readonly kind: Embedder['kind']
  readonly contextTokens: number
  readonly lanes: readonly [EmbedLane, ...EmbedLane[]]
  readonly tokenize: (text: string) => Tokens
  readonly vocabularyTokens: number
}

export function createEmbedder(parts: EmbedderParts): Embedder {
  const { kind, contextTokens, lanes } = parts
  return {
    kind,
    contextTokens,
    slots: lanes.length,
    lanes: new Lanes(lanes),
    prepare: job => {
      if (job.kind !== kind) return wrongKind(kind)
      const inputs =
        job.kind === 'embedding'
          ? job.inputs.map(input => prepareInput(parts, input))
          : job.documents.map(document => preparePair(lanes[0], job.query, document))
      const prepared: PreparedInput[] = []
      for (const [index, one] of inputs.entries()) {
        const name = `${job.kind === 'embedding' ? 'input' : 'documents'}[${index}]`
        if (typeof one === 'string') return { code: 'invalid_request', message: `${name} ${one}` }
        if (one.tokens > contextTokens) return tooLong(name, one.tokens, contextTokens)
        prepared.push(one)
      }
      return prepared
    },
  }
}

function prepareInput(
  { lanes: [lane], tokenize, vocabularyTokens }: EmbedderParts,
  input: EmbedInput,
): PreparedInput | string {
  if (lane.kind !== 'embedding') throw new Error('an embedding model has embedding contexts')
  // llama.cpp only says "Eval has failed" to an id it does not know.
  if (typeof input !== 'string' && input.some(id => id >= vocabularyTokens))
    return `holds a token that is not one of the model's ${vocabularyTokens}`
  const tokens = typeof input === 'string' ? tokenize(input) : input.map(tokenOf)
  // For nothing at all the library returns an empty vector.
  if (tokens.length === 0) return 'holds nothing that the model can read'
  return {
    tokens: lane.context.calculateInputLength(tokens.slice()),
    compute: async on => {
      if (on.kind !== 'embedding') throw new Error('an embedding model has embedding contexts')
      return (await on.context.getEmbeddingFor(tokens.slice())).vector
    },
  }
}

function preparePair(lane: EmbedLane, query: string, document: string): PreparedInput {
  if (lane.kind !== 'rerank') throw new Error('a reranker has ranking contexts')
  return {
    tokens: lane.context.calculateInputLength(query, document),
    compute: async on => {
      if (on.kind !== 'rerank') throw new Error('a reranker has ranking contexts')
      return [await on.context.rank(query, document)]
    },
  }
}

/** Never cut: half a text has another meaning, and nobody would notice. */
const tooLong = (name: string, tokens: number, contextTokens: number): Failure => ({
  code: 'prompt_too_long',
  message: `${name} has ${tokens} tokens; the model takes ${contextTokens} tokens`,
})

export const wrongKind = (kind: ModelKind): Failure => ({
  code: 'unsupported',
  message: `the file is that of a model for ${kind}`,
})

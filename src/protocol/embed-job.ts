import { Type, type Static } from 'typebox'
import { limits } from './limits.ts'

/** One text to make a vector of, or the tokens that it is made of. */
export const EmbedInputSchema = Type.Union([
  Type.String({ minLength: 1 }),
  Type.Array(Type.Integer({ minimum: 0, maximum: 4_294_967_295 }), {
    minItems: 1,
    maxItems: limits.inputTokensMax,
  }),
])
export type EmbedInput = Static<typeof EmbedInputSchema>

/**
 * What an agent makes vectors of, self-contained like a chat: every input gives one vector, in order; a pair of query and
 * document gives one of a single value, the score from 0 to 1.
 */
export const EmbedJobSchema = Type.Union([
  Type.Object({
    kind: Type.Literal('embedding'),
    inputs: Type.Array(EmbedInputSchema, { minItems: 1, maxItems: limits.inputsPerRequestMax }),
    /** To length 1 (L2); llama.cpp's own vectors have any. */
    normalise: Type.Boolean(),
  }),
  Type.Object({
    kind: Type.Literal('rerank'),
    query: Type.String({ minLength: 1 }),
    documents: Type.Array(Type.String(), { minItems: 1, maxItems: limits.inputsPerRequestMax }),
  }),
])
export type EmbedJob = Static<typeof EmbedJobSchema>

/** How many vectors answer the job. */
export const vectorsOf = (job: EmbedJob): number =>
  job.kind === 'embedding' ? job.inputs.length : job.documents.length

/** The vector of a score. */
export const scoreDimensions = 1

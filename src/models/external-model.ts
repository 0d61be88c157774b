import { createHash } from 'node:crypto'
import { Type, type Static } from 'typebox'

const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
/** As the engine lists it, for example `llama3.1:8b` or a path. */
const ModelId = Type.String({ minLength: 1, maxLength: 256 })

/**
 * A model that an agent's own engine serves (Ollama, vLLM, llama-server, ...). Nobody in the pool has seen its weights, so
 * it is no file with a hash: it is what the engine calls it, and a fingerprint of what the engine says about it.
 */
export const ExternalSourceSchema = Type.Object({
  kind: Type.Literal('external'),
  modelId: ModelId,
  /** Only an agent that reports this one serves it; null: whoever offers the id. */
  fingerprint: Type.Union([Sha256, Type.Null()]),
})
export type ExternalSource = Static<typeof ExternalSourceSchema>

/** The same as an agent offers it. Everything here is the word of a machine that the pool does not control. */
export const ExternalModelSchema = Type.Object({
  modelId: ModelId,
  /** What serves it, for example `ollama` or `llama-server`; `unknown` when it does not tell. */
  engine: Type.String({ maxLength: 64 }),
  /** Changes when the engine says that it serves something else under the id. */
  fingerprint: Sha256,
  /** Tokens one request may hold, prompt and answer together; null when the engine does not tell. */
  contextTokens: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
})
export type ExternalModel = Static<typeof ExternalModelSchema>

/** Whether what an agent offers is what the operator put into the catalogue. */
export const isOffered = (
  { modelId, fingerprint }: Pick<ExternalSource, 'modelId' | 'fingerprint'>,
  offers: readonly ExternalModel[],
): boolean => offerOf({ modelId, fingerprint }, offers) !== undefined

export const offerOf = <Offer extends ExternalModel>(
  { modelId, fingerprint }: Pick<ExternalSource, 'modelId' | 'fingerprint'>,
  offers: readonly Offer[],
): Offer | undefined =>
  offers.find(
    offer =>
      offer.modelId === modelId && (fingerprint === null || offer.fingerprint === fingerprint),
  )

/**
 * What stands for the file's hash in the manifest, so that instances of an external model are told apart like all others.
 * The prefix keeps it apart from every file's hash.
 */
export const externalModelSha256 = ({
  modelId,
  fingerprint,
}: Pick<ExternalSource, 'modelId' | 'fingerprint'>): string =>
  createHash('sha256')
    .update(`gpupool external model\n${JSON.stringify([modelId, fingerprint])}`)
    .digest('hex')

const written = /^external:(?<modelId>[^\s#][^#]*?)(?:#(?<fingerprint>[0-9a-f]{64}))?$/

/**
 * Reads what an operator writes: `external:MODEL_ID`, or `external:MODEL_ID#FINGERPRINT` for that one alone.
 * @returns null when it is not that
 */
export function parseExternalSource(text: string): ExternalSource | null {
  const { modelId, fingerprint = null } = written.exec(text)?.groups ?? {}
  if (modelId === undefined || modelId.length > 256) return null
  return { kind: 'external', modelId, fingerprint }
}

export const formatExternalSource = ({ modelId, fingerprint }: ExternalSource): string =>
  `external:${modelId}${fingerprint === null ? '' : `#${fingerprint}`}`

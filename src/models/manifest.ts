import { Type, type Static } from 'typebox'
import { limits } from '../protocol/limits.ts'
import { ExternalSourceSchema } from './external-model.ts'
import { ModelKindSchema } from './model-kind.ts'
import { ModelShapeSchema } from './model-shape-schema.ts'
import { modelPartsMax } from './split-gguf.ts'

/**
 * What a model name means, everywhere in the pool: the same name is the same weights, template and context.
 * Agents load by `sha256`; the name is only for people and clients.
 */
export const ModelManifestSchema = Type.Object({
  /** As clients write it: letters, digits and `._:/-`, for example `llama-3.1-8b-q4`. */
  name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$' }),
  /** Lower-case hex SHA-256 of the GGUF file; of an external model's identity, see external-model.ts. */
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  /** 0 for an external model: nothing of it is the pool's to fetch or to hold. */
  sizeBytes: Type.Integer({ minimum: 0 }),
  /** `general.architecture` of the GGUF header. */
  architecture: Type.String({ maxLength: 64 }),
  /** Quantisation of most tensors, for example `Q4_K_M`; null when the header does not say. */
  quantisation: Type.Union([Type.String({ maxLength: 32 }), Type.Null()]),
  /** Tokens the model was trained for; what one slot gets is decided at load. */
  contextTokensTrained: Type.Integer({ minimum: 1 }),
  /** SHA-256 of the chat template in the header; null when the file has none. */
  chatTemplateSha256: Type.Union([Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Null()]),
  /**
   * What memory it takes follows from this (`memoryNeed`). Absent for models that were added by an earlier version, null
   * when the architecture is not known well enough: then only the file's size is known.
   */
  shape: Type.Optional(Type.Union([ModelShapeSchema, Type.Null()])),
  /** What it is for; absent for models that were added by an earlier version, which took all for chat models. */
  kind: Type.Optional(ModelKindSchema),
  /**
   * Of a model that is split into several files, all of them in order; then `sha256` is split-gguf.ts's hash of theirs
   * and `sizeBytes` their sum. Absent: one file. An agent that does not know this finds no such file, and says so.
   */
  parts: Type.Optional(
    Type.Array(
      Type.Object({
        sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
        sizeBytes: Type.Integer({ minimum: 0 }),
      }),
      { minItems: 1, maxItems: modelPartsMax },
    ),
  ),
  /** Of embedding models. */
  embedding: Type.Optional(
    Type.Object({
      /** Values of a vector; null when the header does not say. */
      dimensions: Type.Union([
        Type.Integer({ minimum: 1, maximum: limits.embeddingDimensionsMax }),
        Type.Null(),
      ]),
      /** Its vectors may be cut to so many values (Matryoshka); null: not at all. The operator's word, no header says it. */
      dimensionsMin: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
    }),
  ),
})
export type ModelManifest = Static<typeof ModelManifestSchema>

const modelNameRegex = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/

/** Whether a text may be a model's name (see `ModelManifest.name`). */
export const isModelName = (text: string): boolean => modelNameRegex.test(text)

/**
 * Where an agent may get the file, tried in order. A path is used only when a file with the right hash lies there,
 * so that a server and an agent on one machine share one copy.
 */
export const ModelSourceSchema = Type.Union([
  Type.Object({ kind: Type.Literal('path'), path: Type.String({ maxLength: 4096 }) }),
  Type.Object({ kind: Type.Literal('url'), url: Type.String({ maxLength: 4096 }) }),
  ExternalSourceSchema,
])
export type ModelSource = Static<typeof ModelSourceSchema>

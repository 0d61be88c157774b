import { Type, type Static } from 'typebox'
import { ModelManifestSchema } from '../models/manifest.ts'
import { limits } from './limits.ts'

/** One model of the pool, as agents may know it. */
export const CatalogueModelSchema = Type.Object({
  /** With the shape, which the memory that it needs is computed from, where the server knows it. */
  manifest: ModelManifestSchema,
  /** Tokens one slot is to get. */
  contextTokens: Type.Integer({ minimum: 1 }),
  slots: Type.Integer({ minimum: 1, maximum: limits.slotsPerInstanceMax }),
})
export type CatalogueModel = Static<typeof CatalogueModelSchema>

/** Answer to `GET /catalogue` on the enrolment listener, for agents of the pool. */
export const CatalogueAnswerSchema = Type.Object({
  models: Type.Array(CatalogueModelSchema, { maxItems: limits.catalogueModelsMax }),
  /** Models that were left out because there are more than an answer may have. */
  leftOut: Type.Integer({ minimum: 0 }),
})
export type CatalogueAnswer = Static<typeof CatalogueAnswerSchema>

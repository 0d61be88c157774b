import type { ModelShape } from '../../models/model-shape.ts'
import type { CatalogueAnswer } from '../../protocol/catalogue.ts'
import { limits } from '../../protocol/limits.ts'
import type { ModelRecord } from '../store/store.ts'

/** What agents are told of the catalogue: not where files lie on the server. */
export function catalogueAnswer(
  records: readonly (ModelRecord & { readonly shape?: ModelShape | null })[],
): CatalogueAnswer {
  const told = records.slice(0, limits.catalogueModelsMax)
  return {
    models: told.map(({ manifest, contextTokens, slots, shape }) => ({
      manifest,
      contextTokens,
      slots,
      ...(shape === undefined || shape === null ? {} : { shape: mutable(shape) }),
    })),
    leftOut: records.length - told.length,
  }
}

type WireShape = NonNullable<CatalogueAnswer['models'][number]['shape']>

/** The same value: schemas have no read-only lists. */
const mutable = (shape: ModelShape): WireShape => ({
  ...shape,
  layers: [...shape.layers],
  tensors: [...shape.tensors],
})

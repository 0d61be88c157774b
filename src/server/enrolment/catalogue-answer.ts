import type { CatalogueAnswer } from '../../protocol/catalogue.ts'
import { limits } from '../../protocol/limits.ts'
import type { ModelRecord } from '../store/store.ts'

/** What agents are told of the catalogue: not where files lie on the server. */
export function catalogueAnswer(records: readonly ModelRecord[]): CatalogueAnswer {
  const told = records.slice(0, limits.catalogueModelsMax)
  return {
    models: told.map(({ manifest, contextTokens, slots }) => ({ manifest, contextTokens, slots })),
    leftOut: records.length - told.length,
  }
}

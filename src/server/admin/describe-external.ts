import {
  externalModelSha256,
  offerOf,
  type ExternalModel,
  type ExternalSource,
} from '../../models/external-model.ts'
import type { ModelDescription } from '../../models/describe-model.ts'

/**
 * The manifest of a model that agents' own engines serve, all but its name. There is no file to read: what the engines say
 * of their context is the only fact, and the smallest is promised, so that every one of them can keep it.
 * @param offers of the agents that are connected now
 * @param contextTokens what the operator wants; null: what the engines say
 * @param contextTokensDefault where no engine says anything
 */
export function describeExternal(
  source: ExternalSource,
  offers: readonly ExternalModel[],
  contextTokens: number | null,
  contextTokensDefault: number,
): ModelDescription {
  const told = offers
    .filter(offer => offerOf(source, [offer]) !== undefined)
    .flatMap(offer => offer.contextTokens ?? [])
  const promised = told.length === 0 ? contextTokensDefault : Math.min(...told)
  return {
    sha256: externalModelSha256(source),
    sizeBytes: 0,
    architecture: 'external',
    quantisation: null,
    contextTokensTrained: contextTokens ?? promised,
    chatTemplateSha256: null,
    shape: null,
  }
}

import { isAbsolute } from 'node:path'
import type { Clock } from '../../clock.ts'
import { parseExternalSource, type ExternalSource } from '../../models/external-model.ts'
import type { ModelDescription } from '../../models/describe-model.ts'
import { isModelName, type ModelSource } from '../../models/manifest.ts'
import type { ModelKind } from '../../models/model-kind.ts'
import { limits } from '../../protocol/limits.ts'
import type { FieldReader, JsonObject } from '../api/field-reader.ts'
import { isFailure, type ApiFailure } from '../http-error.ts'
import type { PoolAdmin } from '../pool-admin.ts'
import type { ModelRecord, Store } from '../store/store.ts'
import { describeExternal } from './describe-external.ts'
import type { ModelLibrary } from './model-library.ts'

/** What a slot gets when nothing is said: enough for a chat, small enough for a laptop. */
export const contextTokensDefault = 8_192
export const slotsDefault = 4
/**
 * The same for models that make vectors. Every slot has buffers for a whole input and, where the model has a vocabulary to
 * write with, the logits of all its tokens: with 150,000 entries, 2,048 tokens take 2.5 GB.
 */
export const vectorContextTokensDefault = 2_048
export const vectorSlotsDefault = 1
const contextTokensMax = 16 * 1024 * 1024

export type ModelInput = {
  readonly name: string
  readonly source: { readonly kind: 'path' | 'url'; readonly location: string } | ExternalSource
  readonly contextTokens: number | null
  readonly slots: number | null
  /** The operator knows that the model's vectors may be cut to so many values; null: they may not. */
  readonly embeddingDimensionsMin: number | null
  readonly pinned: boolean
}

export function parseModelInput(body: JsonObject, read: FieldReader): ModelInput {
  const name = read.requiredString(body['name'], 'name', Infinity)
  if (!isModelName(name))
    read.fail(
      'name',
      "Invalid 'name': up to 128 letters, digits and ._:/- are allowed, the first a letter or digit.",
    )
  return {
    name,
    source: parseSource(read.requiredString(body['source'], 'source', 4_096), read),
    contextTokens: read.integer(body['contextTokens'], 'contextTokens', 1, contextTokensMax),
    slots: read.integer(body['slots'], 'slots', 1, limits.slotsPerInstanceMax),
    embeddingDimensionsMin: read.integer(
      body['embeddingDimensionsMin'],
      'embeddingDimensionsMin',
      1,
      limits.embeddingDimensionsMax,
    ),
    pinned: read.boolean(body['pinned'], 'pinned') ?? false,
  }
}

function parseSource(source: string, read: FieldReader): ModelInput['source'] {
  if (source.startsWith('external:')) {
    const external = parseExternalSource(source)
    if (external !== null) return external
    read.fail('source', "Invalid 'source': expected external:MODEL_ID, as the engine lists it.")
  }
  if (!/^[a-z][a-z0-9+.-]+:/i.test(source) || /^[a-z]:\\/i.test(source)) {
    if (!isAbsolute(source))
      read.fail('source', "Invalid 'source': expected an absolute path or an https URL.")
    return { kind: 'path', location: source }
  }
  const url = URL.parse(source)
  // Plain http only where nobody can be in between.
  const here = url !== null && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && here))
    read.fail('source', "Invalid 'source': a URL must begin with https://.")
  return { kind: 'url', location: source }
}

export type AddModelDeps = {
  readonly store: Store
  readonly poolAdmin: PoolAdmin
  readonly library: ModelLibrary
  readonly clock: Clock
}

/**
 * Puts a model into the catalogue, from a file or as what agents' own engines serve. Adding the same file under the same
 * name again changes nothing.
 * @returns the model and whether it is new; a failure when the file is no model or the name means something else
 */
export async function addModel(
  deps: AddModelDeps,
  input: ModelInput,
  signal: AbortSignal,
): Promise<{ readonly record: ModelRecord; readonly isNew: boolean } | ApiFailure> {
  const { store, poolAdmin, clock } = deps
  const described = await describeSource(deps, input, signal)
  if (isFailure(described)) return described
  const { source, description } = described
  const existing = await store.getModel(input.name)
  if (existing !== undefined) return compareWithExisting(existing, input, description)
  const { contextTokensTrained } = description
  if ((input.contextTokens ?? 0) > contextTokensTrained)
    return {
      code: 'invalid_request',
      message: `The model was trained for a context of ${contextTokensTrained} tokens; a larger one gives nonsense.`,
      param: 'contextTokens',
    }
  const { embeddingDimensionsMin: dimensionsMin } = input
  const { embedding } = description
  if (dimensionsMin !== null && dimensionsMin > (embedding?.dimensions ?? 0))
    return {
      code: 'invalid_request',
      message: 'The model makes no vectors that could be cut to so many values.',
      param: 'embeddingDimensionsMin',
    }
  const record: ModelRecord = {
    manifest: {
      ...description,
      name: input.name,
      ...(embedding !== undefined && { embedding: { ...embedding, dimensionsMin } }),
    },
    source,
    ...settingsOf(input, described),
    pinned: input.pinned,
    idleUnloadMs: null,
    addedAt: clock.now(),
  }
  if (!(await store.addModel(record))) return nameTaken(input.name)
  await poolAdmin.catalogueChanged()
  return { record, isNew: true }
}

const defaultsOf = (kind: ModelKind = 'chat') =>
  kind === 'chat'
    ? { contextTokens: contextTokensDefault, slots: slotsDefault }
    : { contextTokens: vectorContextTokensDefault, slots: vectorSlotsDefault }

type Described = { readonly source: ModelSource; readonly description: ModelDescription }

async function describeSource(
  { library, poolAdmin }: AddModelDeps,
  { source, contextTokens }: ModelInput,
  signal: AbortSignal,
): Promise<Described | ApiFailure> {
  if (source.kind === 'external') {
    const offers = poolAdmin.externalModels()
    const description = describeExternal(source, offers, contextTokens, contextTokensDefault)
    return { source, description }
  }
  const { kind, location } = source
  const file = await (kind === 'path'
    ? library.fromPath(location)
    : library.fromUrl(location, signal))
  if (isFailure(file)) return file
  return { source: { kind: 'path', path: file.path }, description: file.description }
}

/** An engine of an agent's owner has the context and the slots that it has; asking for less would save nothing. */
function settingsOf(
  { contextTokens, slots }: ModelInput,
  { source, description: { contextTokensTrained, kind } }: Described,
): Pick<ModelRecord, 'contextTokens' | 'slots'> {
  if (source.kind === 'external') return { contextTokens: contextTokensTrained, slots: slots ?? 1 }
  const defaults = defaultsOf(kind)
  return {
    contextTokens: contextTokens ?? Math.min(contextTokensTrained, defaults.contextTokens),
    slots: slots ?? defaults.slots,
  }
}

function compareWithExisting(
  existing: ModelRecord,
  { name, contextTokens, slots, embeddingDimensionsMin }: ModelInput,
  description: ModelDescription,
): { readonly record: ModelRecord; readonly isNew: boolean } | ApiFailure {
  const dimensionsMin = existing.manifest.embedding?.dimensionsMin ?? null
  const same =
    existing.manifest.sha256 === description.sha256 &&
    (contextTokens ?? existing.contextTokens) === existing.contextTokens &&
    (slots ?? existing.slots) === existing.slots &&
    (embeddingDimensionsMin ?? dimensionsMin) === dimensionsMin
  return same ? { record: existing, isNew: false } : nameTaken(name)
}

const nameTaken = (name: string): ApiFailure => ({
  code: 'conflict',
  message: `${name} is another file or has other settings; remove it first, or choose another name.`,
  param: 'name',
})

/** Takes a model out of the catalogue and off all agents. @returns false when there is no such model */
export async function removeModel(
  { store, poolAdmin, library }: Omit<AddModelDeps, 'clock'>,
  name: string,
): Promise<boolean> {
  const record = await store.getModel(name)
  if (record === undefined) return false
  await poolAdmin.unloadModel(name)
  if (!(await store.removeModel(name))) return false
  await poolAdmin.catalogueChanged()
  const { source } = record
  if (source.kind === 'path') {
    const others = await store.listModels()
    const used = others.some(
      other => other.source.kind === 'path' && other.source.path === source.path,
    )
    if (!used) await library.discard(source.path)
  }
  return true
}

import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileSha256 } from '../../models/describe-model.ts'
import { ggufFacts } from '../../models/gguf-facts.ts'
import { readGgufHeader, type GgufHeader } from '../../models/gguf-header.ts'
import { modelShape } from '../../models/model-shape.ts'
import type { ModelShape } from '../../models/model-shape-schema.ts'
import type { CatalogueAnswer } from '../../protocol/catalogue.ts'
import { demoModelPath } from '../demo-model.ts'
import { modelsDirOf } from '../state-dir.ts'
import type { ModelToFit } from './model-fit.ts'

/** A model file on this machine, with the hash that it is known by in the pool. */
export type LocalModel = { readonly path: string; readonly sha256: string }

/** Files whose headers are read for one report. */
const localModelsMax = 256

/** The files that the agent keeps, named by their hash, and the model that a checkout brings. */
export async function listLocalModels(stateDir: string): Promise<readonly LocalModel[]> {
  const dir = modelsDirOf(stateDir)
  const names = await readdir(dir).catch((): string[] => [])
  const kept = names
    .filter(name => /^[0-9a-f]{64}\.gguf$/.test(name))
    .slice(0, localModelsMax)
    .map(name => ({ path: join(dir, name), sha256: name.slice(0, 64) }))
  const demo = demoModelPath()
  const sha256 = demo === null ? null : await fileSha256(demo)
  if (demo === null || typeof sha256 !== 'string' || kept.some(file => file.sha256 === sha256))
    return kept
  return [{ path: demo, sha256 }, ...kept]
}

/** Without a pool nobody has said how large a slot is to be: this much, or all that the model was trained for. */
const contextTokensAlone = 8_192

/** The models of files alone; a file that is no model is left out. */
export const modelsOfFiles = (files: readonly LocalModel[]): readonly ModelToFit[] =>
  files.flatMap(({ path }) => {
    const header = readGgufHeader(path)
    if (typeof header === 'string') return []
    const facts = ggufFacts(header)
    if (typeof facts === 'string') return []
    const contextTokens = Math.min(contextTokensAlone, facts.contextTokensTrained)
    const shape = shapeOf(header)
    return [
      { name: nameOf(header, path), sizeBytes: header.fileBytes, contextTokens, slots: 1, shape },
    ]
  })

/** The models of the pool: what the server does not tell of a model is read from the file, where it is here. */
export const modelsOfCatalogue = (
  catalogue: CatalogueAnswer,
  files: readonly LocalModel[],
): readonly ModelToFit[] =>
  catalogue.models.map(({ manifest, contextTokens, slots }) => {
    const { shape = null } = manifest
    const file = files.find(({ sha256 }) => sha256 === manifest.sha256)
    const header = shape === null && file !== undefined ? readGgufHeader(file.path) : null
    return {
      name: manifest.name,
      sizeBytes: manifest.sizeBytes,
      contextTokens: Math.min(contextTokens, manifest.contextTokensTrained),
      slots,
      shape: shape ?? (header === null || typeof header === 'string' ? null : shapeOf(header)),
    }
  })

function shapeOf(header: GgufHeader): ModelShape | null {
  const shape = modelShape(header)
  return typeof shape === 'string' ? null : shape
}

function nameOf(header: GgufHeader, path: string): string {
  const name = header.metadata.get('general.name')
  return typeof name === 'string' && name !== '' ? name.slice(0, 64) : basename(path, '.gguf')
}

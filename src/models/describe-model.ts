import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import type { Failure } from '../protocol/errors.ts'
import { ggufFacts } from './gguf-facts.ts'
import type { GgufHeader } from './gguf-header.ts'
import type { ModelManifest } from './manifest.ts'
import { embeddingDimensions, modelKind } from './model-kind.ts'
import { modelShape } from './model-shape.ts'
import { readModelHeader, splitPaths, splitSha256 } from './split-gguf.ts'

export type ModelDescription = Omit<ModelManifest, 'name'>

const readBytes = 1024 * 1024

/**
 * Makes the manifest of a model file, all but its name. Reads the header first, so that a wrong file is refused before
 * gigabytes are hashed.
 * @returns the description, or `model_file_invalid` with the reason
 */
export async function describeModel(path: string): Promise<ModelDescription | Failure> {
  const header = readModelHeader(path)
  if (typeof header === 'string') return invalid(path, header)
  const facts = ggufFacts(header)
  if (typeof facts === 'string') return invalid(path, facts)
  const shape = modelShape(header)
  const hashes = await hashesOf(path)
  if ('code' in hashes) return hashes
  return {
    ...hashes,
    sizeBytes: header.fileBytes,
    architecture: facts.architecture,
    quantisation: facts.quantisation,
    contextTokensTrained: facts.contextTokensTrained,
    chatTemplateSha256: facts.chatTemplateSha256,
    shape: typeof shape === 'string' ? null : shape,
    ...abilitiesOf(header),
  }
}

async function hashesOf(path: string): Promise<Pick<ModelManifest, 'sha256' | 'parts'> | Failure> {
  const paths = splitPaths(path)
  if (typeof paths === 'string') return invalid(path, paths)
  if (paths === null) {
    const sha256 = await fileSha256(path)
    return typeof sha256 === 'string' ? { sha256 } : sha256
  }
  const parts: { sha256: string; sizeBytes: number }[] = []
  for (const part of paths) {
    const sha256 = await fileSha256(part)
    if (typeof sha256 !== 'string') return sha256
    parts.push({ sha256, sizeBytes: statSync(part).size })
  }
  return { sha256: splitSha256(parts), parts }
}

function abilitiesOf(header: GgufHeader): Pick<ModelManifest, 'kind' | 'embedding'> {
  const kind = modelKind(header)
  if (kind !== 'embedding') return { kind }
  return { kind, embedding: { dimensions: embeddingDimensions(header), dimensionsMin: null } }
}

/**
 * Hashes a file in pieces of 1 MiB.
 * @returns lower-case hex, or `model_file_invalid` when the file cannot be read
 */
export async function fileSha256(path: string): Promise<string | Failure> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: readBytes }))
      hash.update(chunk)
  } catch (error) {
    return invalid(path, error instanceof Error ? error.message : 'it cannot be read')
  }
  return hash.digest('hex')
}

const invalid = (path: string, reason: string): Failure => ({
  code: 'model_file_invalid',
  message: `${path}: ${reason}`,
})

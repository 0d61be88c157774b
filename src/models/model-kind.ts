import { Type, type Static } from 'typebox'
import type { GgufHeader } from './gguf-header.ts'

/** What a model is for. `chat`: writes text. `embedding`: a vector for a text. `rerank`: how well a document answers a query. */
export const ModelKindSchema = Type.Union([
  Type.Literal('chat'),
  Type.Literal('embedding'),
  Type.Literal('rerank'),
])
export type ModelKind = Static<typeof ModelKindSchema>

/** Values of `{architecture}.pooling_type` (`enum llama_pooling_type` in `include/llama.h` of llama.cpp). */
const poolingNone = 0
const poolingRank = 4

/** Architectures that have no way to write text, so they are embedding models whatever their header says of pooling. */
const encoders: ReadonlySet<string> = new Set([
  'bert',
  'eurobert',
  'gemma-embedding',
  'jina-bert-v2',
  'jina-bert-v3',
  'llama-embed',
  'modern-bert',
  'neo-bert',
  'nomic-bert',
  'nomic-bert-moe',
  't5encoder',
])

/** Heads that rate a pair of texts; rerankers that were converted before there was a pooling type for it have only these. */
const rankHeads: ReadonlySet<string> = new Set(['cls.weight', 'cls.output.weight'])

/** Server and worker both ask the file itself, so that they cannot disagree about what it can do. */
export function modelKind(header: GgufHeader): ModelKind {
  const architecture = String(header.metadata.get('general.architecture'))
  const pooling = header.metadata.get(`${architecture}.pooling_type`)
  if (pooling === poolingRank || header.tensors.some(({ name }) => rankHeads.has(name)))
    return 'rerank'
  if (typeof pooling === 'number' && pooling !== poolingNone) return 'embedding'
  return encoders.has(architecture) ? 'embedding' : 'chat'
}

/** @returns how long the model's vectors are; null when the header does not say */
export function embeddingDimensions(header: GgufHeader): number | null {
  const architecture = String(header.metadata.get('general.architecture'))
  const out = header.metadata.get(`${architecture}.embedding_length_out`)
  const length = out ?? header.metadata.get(`${architecture}.embedding_length`)
  return typeof length === 'number' && Number.isInteger(length) && length > 0 ? length : null
}

import type { ModelManifest } from '../../models/manifest.ts'
import type { ModelKind } from '../../models/model-kind.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import { vectorsOf } from '../../protocol/embed-job.ts'
import type { Failure } from '../../protocol/errors.ts'
import { limits } from '../../protocol/limits.ts'
import { valueBytes } from '../../protocol/vector-frame.ts'
import type { EmbedRequest } from '../inference.ts'
import type { TokenIds } from '../relay/accepted-answer.ts'

/** Where a model of each kind is asked, for the client that asked elsewhere. */
const abilities: Readonly<Record<ModelKind, string>> = {
  chat: 'answers chats: POST /v1/chat/completions',
  embedding: 'makes embeddings: POST /v1/embeddings',
  rerank: 'reranks documents: POST /v1/rerank',
}

/** @returns why the model cannot do this kind of work at all; null when it can */
export function kindRefusal(
  { name, kind = 'chat' }: ModelManifest,
  wanted: ModelKind,
): Failure | null {
  if (kind === wanted) return null
  const message = `The model '${name}' cannot do this; it ${abilities[kind]}.`
  return { code: 'unsupported', message }
}

/** @returns what of a chat the model cannot do; null when it can do all */
export function chatRefusal(
  manifest: ModelManifest,
  { topLogprobs }: ChatJob,
  tokenIds: TokenIds,
): Failure | null {
  const wrong = kindRefusal(manifest, 'chat')
  if (wrong !== null || topLogprobs === undefined || tokenIds === 'known') return wrong
  const message = `An engine that its owner runs serves '${manifest.name}'; how likely its tokens were is not told: leave 'logprobs' out.`
  return { code: 'unsupported', message }
}

/** @returns what of a request for vectors the model cannot do; null when it can do all */
export function embedRefusal(manifest: ModelManifest, request: EmbedRequest): Failure | null {
  const { embed, dimensions } = request
  const wrong = kindRefusal(manifest, embed.kind)
  if (wrong !== null || embed.kind !== 'embedding') return wrong
  const own = manifest.embedding?.dimensions ?? null
  const least = manifest.embedding?.dimensionsMin ?? null
  const isAllowed =
    dimensions === null ||
    dimensions === own ||
    (own !== null && least !== null && dimensions >= least && dimensions <= own)
  if (!isAllowed) return { code: 'unsupported', message: dimensionsText(manifest.name, own, least) }
  const bytes = vectorBytes(manifest, request)
  if (bytes <= limits.vectorBytesPerRequestMax) return null
  const inputsMax = Math.floor(limits.vectorBytesPerRequestMax / (valueBytes * (own ?? 1)))
  const message = `The vectors of ${vectorsOf(embed)} inputs are too much for one request; send at most ${inputsMax} inputs.`
  return { code: 'payload_too_large', message }
}

/** Memory that the answer will take; what the model does not say of itself is taken to be small. */
export function vectorBytes(manifest: ModelManifest | undefined, { embed }: EmbedRequest): number {
  const dimensions = embed.kind === 'rerank' ? 1 : (manifest?.embedding?.dimensions ?? 1)
  return vectorsOf(embed) * dimensions * valueBytes
}

function dimensionsText(name: string, own: number | null, least: number | null): string {
  if (own === null)
    return `The model '${name}' does not say how long its vectors are; leave 'dimensions' out.`
  return least === null
    ? `The vectors of '${name}' have ${own} dimensions and lose their meaning when they are cut.`
    : `The vectors of '${name}' can have ${least} to ${own} dimensions.`
}

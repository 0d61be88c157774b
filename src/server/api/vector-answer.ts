import type { EmbedEvent, TokenUsage } from '../inference.ts'
import type { EmbeddingsRequest, RerankRequest } from './vector-request.ts'

type Finished = Extract<EmbedEvent, { type: 'finished' }>

/** Characters that are made at a time: enough for a socket, little enough for everybody else on this thread. */
const pieceCharactersMax = 64 * 1024

/**
 * OpenAI's list of embeddings. It is written while it is read: as text, the vectors of a large request are over a hundred
 * megabytes, and making them at once would hold up every stream for seconds.
 */
export function embeddingsBody(
  { model, embed, dimensions, encoding }: EmbeddingsRequest,
  { vectors, usage }: Finished,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let next = 0
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise(setImmediate)
      let text = next === 0 ? '{"object":"list","data":[' : ''
      while (next < vectors.length && text.length < pieceCharactersMax) {
        const values = cut(vectors[next] ?? new Float32Array(), dimensions, embed.normalise)
        const item = { object: 'embedding', index: next, embedding: encoded(values, encoding) }
        text += `${next === 0 ? '' : ','}${JSON.stringify(item)}`
        next++
      }
      const isWhole = next === vectors.length
      if (isWhole) text += `],"model":${JSON.stringify(model)},"usage":${usageText(usage)}}`
      controller.enqueue(encoder.encode(text))
      if (isWhole) controller.close()
    },
  })
}

/** The same numbers either way: base64 holds the 32-bit values, little-endian. */
function encoded(values: Float32Array, encoding: EmbeddingsRequest['encoding']) {
  if (encoding === 'float') return [...values]
  const bytes = new DataView(new ArrayBuffer(values.byteLength))
  values.forEach((value, i) => bytes.setFloat32(i * values.BYTES_PER_ELEMENT, value, true))
  return Buffer.from(bytes.buffer).toString('base64')
}

/** What is left of a vector that was cut is shorter than 1, and made that long again where the whole one was. */
function cut(values: Float32Array, dimensions: number | null, normalise: boolean): Float32Array {
  if (dimensions === null || dimensions >= values.length) return values
  const part = values.slice(0, dimensions)
  const length = Math.hypot(...part)
  return normalise && length > 0 ? part.map(value => value / length) : part
}

/** The best first; of equals the one that came first. */
export function rerankBody(
  { model, embed, topN, returnDocuments }: RerankRequest,
  { vectors, usage }: Finished,
) {
  const scores = vectors.map((values, index) => ({ index, score: values[0] ?? 0 }))
  const best = scores.toSorted((a, b) => b.score - a.score || a.index - b.index)
  return {
    object: 'list',
    model,
    results: best.slice(0, topN ?? best.length).map(({ index, score }) => ({
      index,
      relevance_score: score,
      ...(returnDocuments && { document: { text: embed.documents[index] } }),
    })),
    usage: usageOf(usage),
  }
}

const usageOf = ({ promptTokens }: TokenUsage) => ({
  prompt_tokens: promptTokens,
  total_tokens: promptTokens,
})
const usageText = (usage: TokenUsage): string => JSON.stringify(usageOf(usage))

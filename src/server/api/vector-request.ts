import { isModelName } from '../../models/manifest.ts'
import type { EmbedInput, EmbedJob } from '../../protocol/embed-job.ts'
import { limits } from '../../protocol/limits.ts'
import type { ApiFailure } from '../http-error.ts'
import { FieldReader, isObject, type JsonObject } from './field-reader.ts'

/** A body's limit: with room to spare below the control message that carries the job to an agent. */
export const vectorBodyBytesMax = 4 * 1024 * 1024

const tokenIdMax = 4_294_967_295

export type EmbeddingsRequest = {
  readonly model: string
  readonly embed: Extract<EmbedJob, { kind: 'embedding' }>
  readonly dimensions: number | null
  readonly encoding: 'float' | 'base64'
}

export type RerankRequest = {
  readonly model: string
  readonly embed: Extract<EmbedJob, { kind: 'rerank' }>
  /** Results that are wanted, the best ones; null: all. */
  readonly topN: number | null
  readonly returnDocuments: boolean
}

const notAnObject: ApiFailure = {
  code: 'invalid_request',
  message: 'The body of the request must be a JSON object.',
}

/** OpenAI's embeddings request, and llama-server's `embd_normalize`. */
export function parseEmbeddingsRequest(body: unknown): EmbeddingsRequest | ApiFailure {
  if (!isObject(body)) return notAnObject
  const read = new FieldReader()
  const request = {
    model: parseModel(body['model'], read),
    embed: {
      kind: 'embedding' as const,
      inputs: [...parseInput(body['input'], read)],
      normalise: parseNormalise(body, read),
    },
    dimensions: read.integer(body['dimensions'], 'dimensions', 1, limits.embeddingDimensionsMax),
    encoding: parseEncoding(body['encoding_format'], read),
  }
  return read.problem ?? request
}

/** The request that Jina and Cohere agree on, as llama-server takes it. */
export function parseRerankRequest(body: unknown): RerankRequest | ApiFailure {
  if (!isObject(body)) return notAnObject
  const read = new FieldReader()
  const query = read.requiredString(body['query'], 'query', Infinity)
  if (query === '') read.fail('query', "Invalid 'query': it is empty.")
  const request = {
    model: parseModel(body['model'], read),
    embed: {
      kind: 'rerank' as const,
      query,
      documents: [...parseDocuments(body['documents'], read)],
    },
    topN: read.integer(body['top_n'], 'top_n', 1, Infinity),
    returnDocuments: read.boolean(body['return_documents'], 'return_documents') ?? false,
  }
  for (const param of ['max_tokens_per_doc', 'max_chunks_per_doc', 'truncation', 'truncate'])
    if (![undefined, null, false].some(without => without === body[param]))
      read.fail(param, `'${param}' is not supported: nothing is cut here.`, 'unsupported')
  return read.problem ?? request
}

function parseModel(value: unknown, read: FieldReader): string {
  const model = read.requiredString(value, 'model', Infinity)
  if (typeof value === 'string' && !isModelName(model)) {
    const message = 'There is no model of this name. GET /v1/models lists them.'
    read.fail('model', message, 'model_not_found')
  }
  return model
}

/** A text, the tokens of one, or an array of both. */
function parseInput(value: unknown, read: FieldReader): readonly EmbedInput[] {
  if (value === undefined || value === null) {
    read.missing('input')
    return []
  }
  if (typeof value === 'string') return [parseOne(value, 'input', read)]
  if (!Array.isArray(value)) {
    read.wrongType('input', 'a string or an array', value)
    return []
  }
  if (value.length === 0) read.fail('input', "Invalid 'input': empty array. Expected an input.")
  if (typeof value[0] === 'number') return [parseOne(value, 'input', read)]
  const items = read.array(value, 'input', limits.inputsPerRequestMax) ?? []
  return items.map((item, index) => parseOne(item, `input[${index}]`, read))
}

function parseOne(value: unknown, param: string, read: FieldReader): EmbedInput {
  if (typeof value === 'string') {
    if (value === '') read.fail(param, `Invalid '${param}': it is empty.`)
    return value
  }
  if (!Array.isArray(value)) {
    read.wrongType(param, 'a string or an array of token ids', value)
    return ''
  }
  if (value.length === 0) read.fail(param, `Invalid '${param}': it is empty.`)
  const ids = read.array(value, param, limits.inputTokensMax) ?? []
  const wrong = ids.findIndex(id => !isTokenId(id))
  if (wrong !== -1) read.wrongType(`${param}[${wrong}]`, 'a token id', ids[wrong])
  return ids.filter(isTokenId)
}

const isTokenId = (id: unknown): id is number =>
  typeof id === 'number' && Number.isInteger(id) && id >= 0 && id <= tokenIdMax

function parseNormalise(body: JsonObject, read: FieldReader): boolean {
  const norm = read.integer(body['embd_normalize'], 'embd_normalize', -1, Infinity) ?? 2
  if (norm !== -1 && norm !== 2) {
    const message =
      "'embd_normalize' other than 2 (to length 1) and -1 (not at all) is not supported."
    read.fail('embd_normalize', message, 'unsupported')
  }
  return norm === 2
}

function parseEncoding(value: unknown, read: FieldReader): EmbeddingsRequest['encoding'] {
  const format = read.string(value, 'encoding_format') ?? 'float'
  if (format === 'float' || format === 'base64') return format
  read.fail(
    'encoding_format',
    "Invalid value for 'encoding_format'. Supported are: 'float', 'base64'.",
  )
  return 'float'
}

function parseDocuments(value: unknown, read: FieldReader): readonly string[] {
  if (value === undefined || value === null) read.missing('documents')
  const items = read.array(value, 'documents', limits.inputsPerRequestMax) ?? []
  if (Array.isArray(value) && value.length === 0)
    read.fail('documents', "Invalid 'documents': empty array. Expected a document.")
  return items.map((item, index) =>
    isObject(item)
      ? read.requiredString(item['text'], `documents[${index}].text`, Infinity)
      : read.requiredString(item, `documents[${index}]`, Infinity),
  )
}

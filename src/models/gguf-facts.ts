import { createHash } from 'node:crypto'
import type { GgufHeader } from './gguf-header.ts'
import { fileTypeNames, tensorTypes } from './gguf-types.ts'

/** What the pool wants to know about a model, from its header alone. */
export type GgufFacts = {
  readonly architecture: string
  readonly quantisation: string | null
  readonly contextTokensTrained: number
  /** Null when the file has no chat template. */
  readonly chatTemplate: string | null
  readonly chatTemplateSha256: string | null
}

/** The part of a tokenizer that turning ids into text needs. */
export type TokenizerFacts = {
  /** `gpt2` (byte-level BPE), `llama` (SentencePiece), … */
  readonly model: string
  readonly tokens: readonly string[]
  /** Per token: see `tokenTypes`. Empty when the file does not say. */
  readonly types: readonly number[]
  readonly bosId: number | null
  readonly eosId: number | null
  /** Null when the file leaves it to the engine's default for this kind of tokenizer. */
  readonly addBos: boolean | null
}

/** Values of `tokenizer.ggml.token_type`. */
export const tokenTypes = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const

const contextTokensTrainedMax = 1_073_741_824

/** @returns the facts, or a text that says what the header lacks */
export function ggufFacts(header: GgufHeader): GgufFacts | string {
  const architecture = header.metadata.get('general.architecture')
  if (typeof architecture !== 'string' || architecture === '' || architecture.length > 64)
    return 'general.architecture must be a text of 1 to 64 characters'
  const contextTokens = header.metadata.get(`${architecture}.context_length`)
  if (
    typeof contextTokens !== 'number' ||
    !Number.isInteger(contextTokens) ||
    contextTokens < 1 ||
    contextTokens > contextTokensTrainedMax
  )
    return `${architecture}.context_length must be a whole number from 1 to ${contextTokensTrainedMax}`
  const template = header.metadata.get('tokenizer.chat_template')
  const chatTemplate = typeof template === 'string' && template !== '' ? template : null
  return {
    architecture,
    quantisation: quantisation(header),
    contextTokensTrained: contextTokens,
    chatTemplate,
    chatTemplateSha256:
      chatTemplate === null ? null : createHash('sha256').update(chatTemplate).digest('hex'),
  }
}

/** @returns the facts, or a text that says what is wrong with the header */
export function tokenizerFacts(header: GgufHeader): TokenizerFacts | string {
  const model = header.metadata.get('tokenizer.ggml.model')
  if (typeof model !== 'string') return 'tokenizer.ggml.model is missing'
  const tokens = header.metadata.get('tokenizer.ggml.tokens')
  if (!isArrayOf(tokens, isText) || tokens.length === 0)
    return 'tokenizer.ggml.tokens must be a list of texts'
  const types = header.metadata.get('tokenizer.ggml.token_type') ?? []
  if (!isArrayOf(types, isNumber) || (types.length > 0 && types.length !== tokens.length))
    return 'tokenizer.ggml.token_type must be as long as the list of tokens'
  const addBos = header.metadata.get('tokenizer.ggml.add_bos_token')
  return {
    model,
    tokens,
    types,
    bosId: tokenId(header, 'tokenizer.ggml.bos_token_id', tokens.length),
    eosId: tokenId(header, 'tokenizer.ggml.eos_token_id', tokens.length),
    addBos: typeof addBos === 'boolean' ? addBos : null,
  }
}

/** The maker's name for the mixture; without one, the type that holds the most elements. */
function quantisation(header: GgufHeader): string | null {
  const fileType = header.metadata.get('general.file_type')
  const named = typeof fileType === 'number' ? fileTypeNames.get(fileType) : undefined
  if (named !== undefined) return named
  const elementsByType = new Map<number, number>()
  for (const tensor of header.tensors)
    elementsByType.set(tensor.type, (elementsByType.get(tensor.type) ?? 0) + tensor.elements)
  let most: number | null = null
  for (const [type, elements] of elementsByType)
    if (most === null || elements > (elementsByType.get(most) ?? 0)) most = type
  return most === null ? null : (tensorTypes.get(most)?.name ?? null)
}

function tokenId(header: GgufHeader, key: string, tokenCount: number): number | null {
  const id = header.metadata.get(key)
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < tokenCount ? id : null
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isNumber = (value: unknown): value is number => typeof value === 'number'

function isArrayOf<Item>(
  value: unknown,
  isItem: (item: unknown) => item is Item,
): value is readonly Item[] {
  return Array.isArray(value) && value.every(isItem)
}

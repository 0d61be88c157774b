import { tokenTypes, type TokenizerFacts } from '../../models/gguf-facts.ts'
import { isTextMarker } from './text-markers.ts'

/** The bytes a token adds to the text; empty for a token that is not text. */
export type TokenBytes = (tokenId: number) => Uint8Array

/** Tokens of these types have a name and add nothing to the text. */
const isSilent = (type: number, text: string): boolean =>
  (type === tokenTypes.control || type === tokenTypes.unknown) && !isTextMarker(text)

/** @returns the ids of tokens that add nothing to the text */
export const silentTokens = ({ tokens, types }: TokenizerFacts): readonly number[] =>
  types.flatMap((type, tokenId) => (isSilent(type, tokens[tokenId] ?? '') ? [tokenId] : []))

const encoder = new TextEncoder()
const noBytes = new Uint8Array(0)

/**
 * Gives a token's bytes from the vocabulary in the model file, not from the engine's detokeniser: that one turns a
 * token that holds half a character into U+FFFD. Control tokens (end of turn and the like) have no text, except the
 * markers of reasoning and tool calls, which the answer reducer needs to see.
 * @param detokenize for kinds of tokenizer whose way of writing bytes is not known here
 */
export function createTokenBytes(
  facts: TokenizerFacts,
  detokenize: (tokenId: number) => string,
): TokenBytes {
  const decode = decoderOf(facts.model)
  const table: (Uint8Array | undefined)[] = []
  const compute = (tokenId: number): Uint8Array => {
    const text = facts.tokens[tokenId]
    if (text === undefined) return noBytes
    const type = facts.types[tokenId] ?? tokenTypes.normal
    if (isSilent(type, text)) return noBytes
    if (type === tokenTypes.control || type === tokenTypes.unknown) return encoder.encode(text)
    if (type === tokenTypes.userDefined) return encoder.encode(text)
    if (type === tokenTypes.byte) return byteToken(text) ?? encoder.encode(text)
    return decode === null ? encoder.encode(detokenize(tokenId)) : decode(text)
  }
  return tokenId => (table[tokenId] ??= compute(tokenId))
}

function decoderOf(model: string): ((text: string) => Uint8Array) | null {
  if (model === 'gpt2') return byteLevelBytes
  if (model === 'llama' || model === 't5')
    return text => byteToken(text) ?? encoder.encode(text.replaceAll('▁', ' '))
  return null
}

/** `<0xNN>`, SentencePiece's way of writing one byte. */
function byteToken(text: string): Uint8Array | null {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1]
  return hex === undefined ? null : Uint8Array.of(Number.parseInt(hex, 16))
}

/** GPT-2's way: each byte is one printable character. A character that stands for no byte stays as it is. */
function byteLevelBytes(text: string): Uint8Array {
  const bytes: number[] = []
  for (const character of text) {
    const byte = byteOfCharacter.get(character)
    if (byte === undefined) bytes.push(...encoder.encode(character))
    else bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

/** As `bytes_to_unicode` of GPT-2: printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order. */
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const table = new Map<string, number>()
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) ||
      (byte >= 0xa1 && byte <= 0xac) ||
      (byte >= 0xae && byte <= 0xff)
    table.set(String.fromCodePoint(printable ? byte : next++), byte)
  }
  return table
})()

import { expect, test } from 'bun:test'
import { decodeTokenFrame, type TokenFrame } from '../../protocol/token-frame.ts'
import { AnswerWriter } from './answer-writer.ts'

/** Writes tokens with these texts; the empty one ends the turn. @returns the texts whose log probability goes with them */
function listed(reasoning: 'none' | 'tags' | 'open', texts: readonly string[]): readonly string[] {
  const frames: TokenFrame[] = []
  const writer = new AnswerWriter({
    stream: 1,
    attempt: 0,
    reducer: { stop: [], tools: true, singleToolCall: false, reasoning, toolCallSeed: 0 },
    tokenBytes: tokenId => Buffer.from(texts[tokenId] ?? ''),
    isEndOfTurn: tokenId => texts[tokenId] === '',
    sendTokenFrame: bytes => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      const frame = decodeTokenFrame(bytes, view, 0, bytes.length)
      if (typeof frame === 'string') throw new Error(frame)
      frames.push(frame)
    },
  })
  for (const [tokenId, text] of texts.entries())
    writer.accept(tokenId, { logprob: -1, bytes: Buffer.from(text), top: [] })
  return frames.flatMap(({ logprob }) => (logprob ? [Buffer.from(logprob.bytes).toString()] : []))
}

test('log probabilities go with the tokens of the answer, not with those of the reasoning and around it', () => {
  const answer = ['Yes', '.', '']
  expect(listed('none', answer)).toEqual(['Yes', '.'])
  expect(listed('open', ['hm', '</think>', '\n\n', ...answer])).toEqual(['Yes', '.'])
  expect(listed('tags', ['<think>', 'hm', '</think>', '\n', ...answer])).toEqual(['Yes', '.'])
  expect(listed('tags', answer)).toEqual(['Yes', '.'])
})

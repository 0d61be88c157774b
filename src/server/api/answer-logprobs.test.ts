import { expect, test } from 'bun:test'
import { heldLogprobsMax, logprobBody, WaitingLogprobs } from './answer-logprobs.ts'

const told = (text: string) => ({ logprob: -1, bytes: Buffer.from(text), top: [] })

test('what came before its text waits for it', () => {
  const waiting = new WaitingLogprobs()
  const [a, b] = [told('a'), told('b')]
  waiting.add(a)
  waiting.add(b)
  expect(waiting.take('answer')).toEqual([a, b])
  expect(waiting.take('answer')).toEqual([])
})

test('what turns out to be no text of the answer is left out', () => {
  const waiting = new WaitingLogprobs()
  waiting.add(told('<tool'))
  expect(waiting.take('tool_call')).toEqual([])
  waiting.add(told('<th'))
  expect(waiting.take('reasoning')).toEqual([])
  expect(waiting.take('answer')).toEqual([])
})

test('an agent that tells log probabilities and never a text does not fill the memory', () => {
  const waiting = new WaitingLogprobs()
  const heavy = { ...told('a'), top: Array.from({ length: 20 }, () => told('b')) }
  for (let held = 21; held <= heldLogprobsMax; held += 21) expect(waiting.add(heavy)).toBeNull()
  expect(waiting.add(heavy)).toMatchObject({ message: expect.stringContaining('top_logprobs') })
})

test('half a character is U+FFFD as a text and exact as bytes', () => {
  const half = Buffer.from('🦊').subarray(0, 2)
  expect(logprobBody({ logprob: -2, bytes: half, top: [{ logprob: -1, bytes: half }] })).toEqual({
    token: '\uFFFD',
    logprob: -2,
    bytes: [0xf0, 0x9f],
    top_logprobs: [{ token: '\uFFFD', logprob: -1, bytes: [0xf0, 0x9f] }],
  })
})

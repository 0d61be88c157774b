import { expect, test } from 'bun:test'
import { model } from '../../../test/support/store-fixtures.ts'
import type { ChatJob } from '../../protocol/chat-job.ts'
import { chatRefusal } from './model-refusal.ts'

const { manifest } = model('llama')
const chat: ChatJob = {
  messages: [{ role: 'user', content: 'hi' }],
  tools: [],
  sampling: { temperature: 1, topP: 1, seed: 42 },
  maxTokens: null,
  stop: [],
  renderTimeMs: 0,
}

test('a model whose engine tells no tokens tells no log probabilities, and says so', () => {
  const wanting = { ...chat, topLogprobs: 0 }
  expect(chatRefusal(manifest, wanting, 'known')).toBeNull()
  expect(chatRefusal(manifest, chat, 'unknown')).toBeNull()
  expect(chatRefusal(manifest, wanting, 'unknown')).toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining("leave 'logprobs' out"),
  })
})

test('a model of another kind answers no chats', () => {
  expect(chatRefusal({ ...manifest, kind: 'embedding' }, chat, 'known')).toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining('/v1/embeddings'),
  })
})

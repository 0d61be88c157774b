import { expect, test } from 'bun:test'
import type { ChatJob } from './chat-job.ts'
import { chatNeeds } from './chat-needs.ts'

const chat: ChatJob = {
  messages: [{ role: 'user', content: 'hi' }],
  tools: [],
  sampling: { temperature: 1, topP: 1, seed: 42 },
  maxTokens: null,
  stop: [],
  renderTimeMs: 0,
}

test('a job as the first version knew it needs nothing', () => {
  expect(chatNeeds(chat)).toEqual([])
})

test('an answer of a given form needs an agent that can hold it to one', () => {
  const constraint = { grammar: 'root ::= "x"', asked: {} }
  expect(chatNeeds({ ...chat, constraint })).toEqual(['grammar'])
  expect(chatNeeds({ ...chat, parallelToolCalls: false })).toEqual(['grammar'])
})

test('log probabilities need an agent that tells them, also without alternatives', () => {
  expect(chatNeeds({ ...chat, topLogprobs: 0 })).toEqual(['logprobs'])
})

test('any further way of sampling needs an agent that knows it', () => {
  expect(chatNeeds({ ...chat, sampling: { ...chat.sampling, minP: 0.1 } })).toEqual(['sampling'])
  expect(chatNeeds({ ...chat, sampling: { ...chat.sampling, logitBias: [] } })).toEqual([
    'sampling',
  ])
})

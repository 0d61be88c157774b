import { expect, test } from 'bun:test'
import { chatJob } from '../engine/engine-harness.ts'
import { completionRequest } from './completion-request.ts'

const plain = { temperature: 0.5, topP: 0.9, seed: 1 }
const further = {
  topK: 40,
  minP: 0.1,
  frequencyPenalty: 0.2,
  presencePenalty: 0.3,
  repetitionPenalty: 1.1,
  logitBias: [{ tokenId: 5, bias: -100 }],
}

test('a job without further options has only fields that OpenAI knows', () => {
  expect(completionRequest('m', 'other', chatJob('hi', { sampling: plain }))).toEqual({
    model: 'm',
    messages: [{ role: 'user', content: 'hi' }],
    temperature: 0.5,
    top_p: 0.9,
    seed: 1,
    stream: true,
    stream_options: { include_usage: true },
  })
})

test('further ways of sampling are passed on, those that OpenAI lacks under llama-server’s names', () => {
  const job = chatJob('hi', { sampling: { ...plain, ...further } })
  expect(completionRequest('m', 'other', job)).toMatchObject({
    top_k: 40,
    min_p: 0.1,
    frequency_penalty: 0.2,
    presence_penalty: 0.3,
    repeat_penalty: 1.1,
    logit_bias: { 5: -100 },
  })
})

test('vLLM gets the repetition penalty under its own name', () => {
  const job = chatJob('hi', { sampling: { ...plain, ...further } })
  const body = completionRequest('m', 'vllm', job)
  expect(body).toMatchObject({ repetition_penalty: 1.1 })
  expect(body).not.toHaveProperty('repeat_penalty')
})

test('the form of an answer is asked for in the words of the client', () => {
  const asked = { response_format: { type: 'json_object' } }
  const constraint = { grammar: 'root ::= "x"', asked }
  expect(completionRequest('m', 'other', chatJob('hi', { constraint }))).toMatchObject(asked)
  expect(
    completionRequest('m', 'other', chatJob('hi', { parallelToolCalls: false })),
  ).toMatchObject({ parallel_tool_calls: false })
})

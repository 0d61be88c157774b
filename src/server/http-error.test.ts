import { describe, expect, test } from 'bun:test'
import { errorCodes } from '../protocol/errors.ts'
import { errorResponse, isFailure, withoutInnerDetails } from './http-error.ts'

test('every failure becomes OpenAI’s envelope with its status', async () => {
  for (const code of errorCodes) {
    const response = errorResponse({ code, message: 'm', param: 'p' })
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(await response.json()).toEqual({
      error: { message: 'm', type: expect.any(String), param: 'p', code: expect.any(String) },
    })
  }
})

test('every refusal that waiting may help says how long', () => {
  for (const code of errorCodes) {
    const { status, headers } = errorResponse({ code, message: '' })
    if (status === 429 || status === 503)
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  }
})

describe('when a failure says when to come back', () => {
  const headersOf = (retryAfterMs: number) => {
    const { headers } = errorResponse({ code: 'queue_full', message: '', retryAfterMs })
    return [headers.get('retry-after'), headers.get('retry-after-ms')]
  }

  test('both headers do, whole seconds rounded up', () => {
    expect(headersOf(12_345.6)).toEqual(['13', '12346'])
  })

  test('nobody comes back at once, or is sent away for more than five minutes', () => {
    expect(headersOf(0)).toEqual(['1', '1000'])
    expect(headersOf(10 ** 9)).toEqual(['300', '300000'])
  })
})

describe('clients compare these words:', () => {
  test.each([
    ['unauthorized', 401, 'invalid_api_key'],
    ['model_not_found', 404, 'model_not_found'],
    ['prompt_too_long', 400, 'context_length_exceeded'],
    ['payload_too_large', 413, 'payload_too_large'],
  ] as const)('%s', async (code, status, word) => {
    const response = errorResponse({ code, message: '' })
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { code: word } })
  })
})

test('a failure that a contributor’s machine may have worded is reworded, others are kept', () => {
  const inner = { code: 'worker_died', message: '/home/ada/x' } as const
  expect(withoutInnerDetails(inner).message).not.toContain('ada')
  const own = { code: 'prompt_too_long', message: 'The prompt has 9000 tokens.' } as const
  expect(withoutInnerDetails(own)).toEqual(own)
})

test('a result that has a field called code is no failure', () => {
  expect(isFailure({ code: 5 })).toBe(false)
  expect(isFailure({ code: 'something_else', message: '' })).toBe(false)
  expect(isFailure({ code: 'timeout', message: '' })).toBe(true)
})

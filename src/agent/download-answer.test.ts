import { expect, test } from 'bun:test'
import { judgeAnswer } from './download-answer.ts'

const judge = (status: number, headers: Record<string, string>, offset = 10) =>
  judgeAnswer({ status, headers: new Headers(headers) }, offset, 100)

test('a range is taken only where it says what was asked for', () => {
  const body = { type: 'body', start: 10 }
  expect(judge(206, { 'content-range': 'bytes 10-99/100' })).toMatchObject(body)
  expect(judge(206, { 'content-range': 'bytes 10-99/*' })).toMatchObject(body)
  expect(judge(206, { 'content-range': 'bytes 10-49/100', 'content-length': '40' })).toMatchObject(
    body,
  )
})

test('a range that is another, or contradicts itself, ends with this source', () => {
  const wrong: Record<string, string>[] = [
    {},
    { 'content-range': 'bytes 9-99/100' },
    { 'content-range': 'bytes 10-100/*' },
    { 'content-range': 'bytes 10-9/100' },
    { 'content-range': 'bytes 10-99/100', 'content-length': '100' },
    { 'content-range': 'items 10-99/100' },
  ]
  for (const headers of wrong)
    expect(judge(206, headers)).toMatchObject({
      type: 'given_up',
      error: { code: 'model_load_failed' },
    })
  // Nobody asked for a range.
  expect(judge(206, { 'content-range': 'bytes 0-99/100' }, 0)).toMatchObject({ type: 'given_up' })
})

test('another length is another file', () => {
  const invalid = { type: 'given_up', error: { code: 'model_file_invalid' } }
  expect(judge(206, { 'content-range': 'bytes 10-98/99' })).toMatchObject(invalid)
  expect(judge(200, { 'content-length': '99' })).toMatchObject(invalid)
  expect(judge(416, {})).toMatchObject(invalid)
})

test('the whole file starts over; what may pass is tried again, a refusal is not', () => {
  expect(judge(200, {})).toEqual({ type: 'body', start: 0 })
  for (const status of [408, 425, 429, 500, 502, 503])
    expect(judge(status, {})).toMatchObject({ type: 'broken_off' })
  for (const status of [204, 400, 401, 403, 404, 410])
    expect(judge(status, {})).toMatchObject({ type: 'given_up' })
})

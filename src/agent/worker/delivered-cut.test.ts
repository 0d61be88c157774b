import { describe, expect, test } from 'bun:test'
import type { Segment } from '../../protocol/token-frame.ts'
import { cutDelivered } from './delivered-cut.ts'

const segments: readonly Segment[] = [
  { kind: 'reasoning', text: 'hm' },
  { kind: 'answer', text: 'a🦊b' },
  { kind: 'tool_call', text: '{"index":0}' },
]

describe('what the client has is not sent again', () => {
  test('whole segments and parts of text', () => {
    expect(cutDelivered(segments, 0)).toEqual(segments)
    expect(cutDelivered(segments, 2)).toEqual(segments.slice(1))
    expect(cutDelivered(segments, 7)).toEqual([{ kind: 'answer', text: 'b' }, ...segments.slice(2)])
    expect(cutDelivered(segments, 19)).toEqual([])
  })

  test('a cut through a character, through a call or behind the end cannot be right', () => {
    expect(cutDelivered(segments, 4)).toBeNull()
    expect(cutDelivered(segments, 10)).toBeNull()
    expect(cutDelivered(segments, 20)).toBeNull()
  })
})

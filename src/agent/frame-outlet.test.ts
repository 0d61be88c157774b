import { beforeEach, expect, test } from 'bun:test'
import { encodeTokenFrame } from '../protocol/token-frame.ts'
import { decodeTokenFrames } from '../protocol/token-frames.ts'
import { frameBytesHeldMax, FrameOutlet, frameSpacingMs } from './frame-outlet.ts'

const frame = (index: number, text = '') =>
  encodeTokenFrame({
    stream: 1,
    attempt: 0,
    choice: 0,
    index,
    tokenId: 1,
    segments: text === '' ? [] : [{ kind: 'answer', text }],
  })

let now = 0
/** Indices of each message that was sent. */
let sent: number[][] = []
let due: { at: number; callback: () => void }[] = []
let outlet: FrameOutlet

beforeEach(() => {
  now = 1_000
  sent = []
  due = []
  outlet = new FrameOutlet({
    clock: { now: () => now },
    timers: {
      after(ms, callback) {
        const timer = { at: now + ms, callback }
        due.push(timer)
        return () => {
          due = due.filter(other => other !== timer)
        }
      },
    },
    send: message => {
      const decoded = decodeTokenFrames(message)
      if (typeof decoded === 'string') throw new Error(decoded)
      sent.push(decoded.frames.map(each => each.index))
    },
  })
})

function advance(ms: number): void {
  now += ms
  for (const { at, callback } of due.slice()) if (at <= now) callback()
}

/** Everything that was to happen in this round of the event loop has happened. */
const roundEnds = () => Promise.resolve()

test('a frame after a silence leaves at once, and with it all that came with it', async () => {
  for (const index of [0, 1, 2]) outlet.add(frame(index))
  await roundEnds()
  expect(sent).toEqual([[0, 1, 2]])
})

test('frames that follow shortly wait for each other', async () => {
  outlet.add(frame(0))
  await roundEnds()
  outlet.add(frame(1))
  await roundEnds()
  advance(frameSpacingMs / 2)
  outlet.add(frame(2))
  await roundEnds()
  expect(sent).toEqual([[0]])
  advance(frameSpacingMs / 2)
  expect(sent).toEqual([[0], [1, 2]])
})

test('who says something else flushes first, and nothing is sent twice', async () => {
  outlet.add(frame(0))
  outlet.flush()
  await roundEnds()
  outlet.flush()
  expect(sent).toEqual([[0]])
})

test('the first frame after another message does not wait: it may be the first of an answer', async () => {
  outlet.add(frame(0))
  await roundEnds()
  outlet.flush()
  outlet.add(frame(1))
  await roundEnds()
  expect(sent).toEqual([[0], [1]])
})

test('what nobody can receive is dropped', async () => {
  outlet.add(frame(0))
  outlet.drop()
  await roundEnds()
  expect(sent).toEqual([])
  outlet.add(frame(1))
  await roundEnds()
  expect(sent).toEqual([[1]])
  expect(due).toEqual([])
})

test('what is held is bounded', async () => {
  outlet.add(frame(0))
  await roundEnds()
  const text = 'x'.repeat(frameBytesHeldMax / 4)
  for (const index of [1, 2, 3]) outlet.add(frame(index, text))
  expect(sent).toEqual([[0]])
  outlet.add(frame(4, text))
  expect(sent).toEqual([[0], [1, 2, 3, 4]])
  expect(due).toEqual([])
})

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { joinSegments } from '../src/agent/engine/engine-harness.ts'
import type { ToolCallDelta } from '../src/protocol/token-frame.ts'
import {
  Campaign,
  counts,
  isUnchanged,
  tokensAt,
  type Outcome,
} from './support/takeover/campaign.ts'
import type { SentFrame } from './support/takeover/gate-message.ts'
import { lossNamed } from './support/takeover/losses.ts'
import { TakeoverPool, type Undisturbed } from './support/takeover/pool.ts'
import {
  limitMs,
  positionsOf,
  readSelection,
  isShare,
  selectionVariable,
} from './support/takeover/positions.ts'

// Other CPU libraries and flash attention give other last bits, so an undisturbed answer may be another text on each machine.
// What a client has stays as it is all the same, and what comes is what the second machine draws behind exactly that.

const file = 'test/machines-of-different-builds-lose-no-token.test.ts'
const builds = {
  first: 'as-it-is',
  second: 'oldest-cpu',
  third: 'no-flash-attention',
} as const
const ways = [
  { from: 'first', to: 'second' },
  { from: 'second', to: 'third' },
  { from: 'third', to: 'first' },
] as const

const selection = readSelection()
let pool: TakeoverPool
const answers = new Map<string, readonly Undisturbed[]>()

beforeAll(async () => {
  pool = await TakeoverPool.start(builds)
  for (const name of Object.keys(builds)) {
    await pool.leaveOnly(name)
    answers.set(name, await pool.undisturbed())
  }
}, 120_000)
afterAll(() => pool.close())

test('the builds do compute differently', () => {
  const texts = Object.keys(builds).map(name =>
    answers.get(name)?.map(({ heard }) => heard.content),
  )
  expect(new Set(texts.map(text => JSON.stringify(text))).size).toBe(3)
})

/** What the client has to have: what the first machine sent until it was lost, then what the second one sent. */
function framesOf({ run, last }: Outcome): readonly SentFrame[] {
  const { answer, stops } = run
  const stop = stops[0] ?? 0
  const sent = answer.frames.filter(
    ({ index, tokenId }) => stop > answer.tokens || (tokenId !== null && index < stop),
  )
  return [...sent, ...last.frames]
}

function outputOf(frames: readonly SentFrame[]) {
  const segments = joinSegments(frames.flatMap(frame => frame.segments))
  const calls = segments
    .filter(({ kind }) => kind === 'tool_call')
    .map(({ text }) => JSON.parse(text) as ToolCallDelta)
  return {
    content: segments.map(({ kind, text }) => (kind === 'answer' ? text : '')).join(''),
    calls: calls.map(({ id = '', name = '', arguments: args }) => ({ id, name, args })),
  }
}

test.each(ways)(
  'from $from to $to',
  async between => {
    const losses = [lossNamed('agent-killed')]
    const name = `${between.from}-to-${between.to}`
    const runs = (answers.get(between.from) ?? []).flatMap(answer =>
      positionsOf(answer, selection, { losses: name, first: 0 })
        .filter((_, at) => !isShare(selection) || at % 4 === 1)
        .map(position => ({ answer, stops: [position] })),
    )
    const options = { losses, moment: 'standing', between } as const
    const outcomes = await new Campaign(pool, options).run(runs)
    for (const outcome of outcomes) {
      const { run, heard, last } = outcome
      const again = `${selectionVariable}=${name}/${run.answer.name}/${run.stops[0]} bun test ${file}`
      const given = tokensAt(run, 0)
      const frames = framesOf(outcome)
      const tokens = frames.filter(({ tokenId }) => tokenId !== null)
      expect({ again, counts: counts(outcome) }).toEqual({ again, counts: true })
      expect({ again, ids: last.tokenIds }).toEqual({
        again,
        ids: tokens.slice(0, given).map(({ tokenId }) => tokenId as number),
      })
      expect({ again, indexes: tokens.map(({ index }) => index) }).toEqual({
        again,
        indexes: tokens.map((_, index) => index),
      })
      const { content, toolCalls: calls } = heard
      expect({ again, content, calls }).toEqual({ again, ...outputOf(frames) })
      expect(heard.usage?.completion_tokens).toBe(tokens.length)
    }
    const equal = outcomes.filter(isUnchanged).length
    console.log(
      `${builds[between.from]} to ${builds[between.to]}: ${outcomes.length} answers cut, no token lost, repeated or changed; ${equal} equal the undisturbed one`,
    )
  },
  limitMs(selection),
)

test('usage is counted once: the ledger has what the clients were told', async () => {
  const { stored, told } = await pool.ledger()
  expect(stored).toEqual(told)
})

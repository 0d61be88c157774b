import { afterAll, beforeAll, expect, test } from 'bun:test'
import { counts, tokensAt, type Outcome } from './support/takeover/campaign.ts'
import { silentLosses, suddenLosses } from './support/takeover/losses.ts'
import { TakeoverPool, type Undisturbed } from './support/takeover/pool.ts'
import { limitMs, readSelection } from './support/takeover/positions.ts'
import { tryLosses, type Trial } from './support/takeover/try-losses.ts'

// Real servers, agents and workers, of the same build. `npm test` cuts each kind of answer at twelve places,
// `bun run test:takeover` behind every token; see CONTRIBUTING.md.

const selection = readSelection()
let pool: TakeoverPool
let answers: readonly Undisturbed[]

beforeAll(async () => {
  pool = await TakeoverPool.start({ first: 'as-it-is', second: 'as-it-is' })
  answers = await pool.undisturbed()
}, 60_000)
afterAll(() => pool.close())

const once: Pick<Trial, 'file' | 'stopsFrom'> = {
  file: 'test/a-lost-machine-changes-no-answer.test.ts',
  stopsFrom: position => [position],
}

test('an answer that nothing disturbs is always the same', async () => {
  const again = await pool.undisturbed()
  expect(again.map(({ heard }) => ({ ...heard, jobId: '' }))).toEqual(
    answers.map(({ heard }) => ({ ...heard, jobId: '' })),
  )
  expect(answers.find(({ name }) => name === 'chat')?.tokens).toBe(128)
})

test.each(suddenLosses)(
  '$name',
  async loss => {
    await tryLosses(pool, answers, { ...once, losses: [loss], moment: 'standing', counts })
  },
  limitMs(selection),
)

/** It may also have ended before it was lost. */
const countsInFlight = ({ run, attempts, lost }: Outcome): boolean =>
  attempts <= 2 && lost.every(({ tokens }) => tokens >= tokensAt(run, 0))

test.each(suddenLosses)(
  '$name, with tokens on their way',
  async loss => {
    const inFlight = { losses: [loss], moment: 'running', counts: countsInFlight } as const
    await tryLosses(pool, answers, { ...once, ...inFlight, every: 4 })
  },
  limitMs(selection),
)

test.each(silentLosses)(
  '$name, and what it still had to say comes late',
  async loss => {
    // It takes five seconds until a silence is noticed, before the first token half a minute; `bun run test:takeover` takes
    // all answers and that, too.
    const silent = { losses: [loss], moment: 'standing', counts, first: 1 } as const
    await tryLosses(pool, answers, { ...once, ...silent, few: ['chat', 'stop', 'json', 'call'] })
  },
  limitMs(selection),
)

test('usage is counted once: the ledger has what the clients were told', async () => {
  const { stored, told } = await pool.ledger()
  expect(stored).toEqual(told)
})

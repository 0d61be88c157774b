import { afterAll, beforeAll, expect, test } from 'bun:test'
import { counts } from './support/takeover/campaign.ts'
import { lossNamed } from './support/takeover/losses.ts'
import { TakeoverPool, type Undisturbed } from './support/takeover/pool.ts'
import { limitMs, readSelection } from './support/takeover/positions.ts'
import { tryLosses } from './support/takeover/try-losses.ts'

// One stream, four attempts: as many as the relay makes.

const selection = readSelection()
let pool: TakeoverPool
let answers: readonly Undisturbed[]

beforeAll(async () => {
  pool = await TakeoverPool.start({
    first: 'as-it-is',
    second: 'as-it-is',
    third: 'as-it-is',
  })
  answers = await pool.undisturbed()
}, 60_000)
afterAll(() => pool.close())

const file = 'test/three-losses-in-one-answer-change-nothing.test.ts'
const inOneAnswer = [
  ['agent-killed', 'agent-killed', 'agent-killed'],
  ['agent-killed', 'worker-killed', 'agent-killed'],
].map(names => ({ name: names.join(', '), losses: names.map(lossNamed) }))

test.each(inOneAnswer)(
  '$name',
  async ({ losses }) => {
    await tryLosses(pool, answers, {
      file,
      losses,
      moment: 'standing',
      counts,
      every: 4,
      // The third attempt gets nowhere: what it was given is all that it passes on.
      stopsFrom: (position, { tokens }) => {
        const further = Math.min(position + 7, tokens + 1)
        return [position, further, further]
      },
    })
  },
  limitMs(selection),
)

test('usage is counted once: the ledger has what the clients were told', async () => {
  const { stored, told } = await pool.ledger()
  expect(stored).toEqual(told)
})

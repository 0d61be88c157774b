import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Cluster, demoModel } from './support/cluster.ts'
import { officialClient } from './support/official-client.ts'

let cluster: Cluster

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel({ slots: 4 })
  await cluster.addAgent('desktop')
  await cluster.ask('hello')
}, 60_000)
afterAll(() => cluster.close())

/** Each asks for something else, so that an answer given to the wrong chat would show. */
const chats = [
  { ask: 'Count from 3 to 17.', says: '3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17.' },
  { ask: 'Say the alphabet.', says: 'a b c d e f g h i j k l m n o p q r s t u v w x y z' },
  {
    ask: 'Name the months.',
    says: 'January, February, March, April, May, June, July, August, September, October, November, December.',
  },
  {
    ask: 'What is a GPU pool?',
    says: 'A GPU pool joins the graphics cards of many ordinary computers so that they can answer requests together.',
  },
]

/** Asks all four at once. @returns the answers, and which chat each arriving piece belonged to, in order */
async function askAllAtOnce() {
  const openai = officialClient(cluster, cluster.adminKey)
  const arrivals: number[] = []
  const answers = await Promise.all(
    chats.map(async ({ ask }, index) => {
      const stream = await openai.chat.completions.create({
        model: demoModel,
        temperature: 0,
        messages: [{ role: 'user', content: ask }],
        stream: true,
      })
      let text = ''
      for await (const chunk of stream) {
        const piece = chunk.choices[0]?.delta.content ?? ''
        if (piece !== '') arrivals.push(index)
        text += piece
      }
      return text
    }),
  )
  return { answers, arrivals }
}

/**
 * An answer takes a tenth of a second, and on a busy machine one may be over before the client has sent the last
 * question; so there are a few rounds. Served one after another, no round would ever overlap.
 */
const roundsMax = 10

test('their pieces arrive interleaved, and each gets its own answer', async () => {
  const overlaps: boolean[] = []
  while (!overlaps.includes(true) && overlaps.length < roundsMax) {
    const { answers, arrivals } = await askAllAtOnce()
    expect(answers).toEqual(chats.map(({ says }) => says))
    const firstEnd = Math.min(...chats.map((_, chat) => arrivals.lastIndexOf(chat)))
    const lastBegin = Math.max(...chats.map((_, chat) => arrivals.indexOf(chat)))
    // One after another there would be three changes from one chat to the next.
    const changes = arrivals.filter((chat, at) => at > 0 && chat !== arrivals[at - 1]).length
    overlaps.push(lastBegin < firstEnd && changes > 3 * chats.length)
  }
  expect(overlaps).toContain(true)
})

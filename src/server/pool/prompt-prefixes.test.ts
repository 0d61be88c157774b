import { expect, test } from 'bun:test'
import type { ChatJob, ChatMessage } from '../../protocol/chat-job.ts'
import { prefixesMax, promptPrefixes } from './prompt-prefixes.ts'

const chat = (messages: readonly ChatMessage[], change: Partial<ChatJob> = {}): ChatJob => ({
  messages: [...messages],
  tools: [],
  sampling: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: null,
  stop: [],
  renderTimeMs: 0,
  tenant: 'one',
  ...change,
})
const user = (content: string): ChatMessage => ({ role: 'user', content })
const said = (content: string): ChatMessage => ({ role: 'assistant', content })
const first = [user('What is a lease?'), said('A promise of a slot.')]
const hashes = (job: ChatJob, model = 'tiny') => promptPrefixes(model, job).map(({ hash }) => hash)

test('the next turn of a conversation begins with the hashes of the one before, and the tokens grow', () => {
  const turn = hashes(chat([user('What is a lease?')]))
  const next = promptPrefixes('tiny', chat([...first, user('And a slot?')]))
  expect(next.map(({ hash }) => hash).slice(0, 1)).toEqual(turn)
  expect(next).toHaveLength(3)
  const tokens = next.map(each => each.tokens)
  expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
  expect(next.every(({ hash }) => Number.isSafeInteger(hash) && hash < 2 ** 52)).toBe(true)
})

test('another tenant, model, tool, role or word has no hash in common', () => {
  const ours = new Set(hashes(chat(first)))
  const tool = { name: 'look_up' }
  for (const others of [
    hashes(chat(first, { tenant: 'two' })),
    hashes(chat(first), 'other'),
    hashes(chat(first, { tools: [tool] })),
    hashes(chat([said('What is a lease?'), user('A promise of a slot.')])),
    hashes(chat([user('What is a lease'), user('? A promise of a slot.')])),
  ])
    expect(others.filter(hash => ours.has(hash))).toEqual([])
})

test('a job of nobody shares nothing', () => {
  const { tenant: _, ...nobodys } = chat(first)
  expect(promptPrefixes('tiny', nobodys)).toEqual([])
})

test('a message that grows keeps the hashes of its blocks', () => {
  const text = 'x'.repeat(20_000)
  const before = hashes(chat([user(text)]))
  const after = new Set(hashes(chat([user(`${text} and more`)])))
  expect(before.filter(hash => after.has(hash))).toHaveLength(before.length - 1)
})

test('of a long conversation the start and the end are kept, and the next turn still knows it', () => {
  const long = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? user : said)(`${i}`))
  const before = promptPrefixes('tiny', chat(long))
  expect(before).toHaveLength(prefixesMax)
  expect(before.slice(0, 4)).toEqual([...promptPrefixes('tiny', chat(long.slice(0, 4)))])
  const after = new Set(hashes(chat([...long, said('100'), user('101')])))
  expect(after.has(before.at(-1)?.hash ?? 0)).toBe(true)
})

import { expect, test } from 'bun:test'
import type { ChatJob } from '../../protocol/chat-job.ts'
import { chatJob, continuationAt, demoModel, EngineSession } from './engine-harness.ts'
import type { StartEngine } from './engine.ts'

const about = 'A GPU pool joins the graphics cards of many ordinary computers. '
/** Longer than one piece of the standard cutting, and as long as a chat's first turn is beside its second one. */
const system = { role: 'system', content: about.repeat(30) } as const
const questions = ['What is a GPU pool?', 'Tell me a short story.', 'How do agents connect?']
const sampled = { temperature: 1, topP: 0.95, seed: 4_242 }

const firstTurn = (question: string, changes: Partial<ChatJob> = {}): ChatJob =>
  chatJob('', { messages: [system, { role: 'user', content: question }], ...changes })

/** The same conversation one turn later. */
const secondTurn = (chat: ChatJob, answer: string, question: string): ChatJob => ({
  ...chat,
  messages: [
    ...chat.messages,
    { role: 'assistant', content: answer },
    { role: 'user', content: question },
  ],
})

/** What an engine promises about prompts that begin alike. */
export function describePrefixReuse(session: () => EngineSession, start: StartEngine): void {
  test('a next turn computes only what is new, and gives the very tokens it gives without that', async () => {
    let changed = 0
    let compared = 0
    for (const question of questions)
      for (const sampling of [sampled, { temperature: 0, topP: 1, seed: 1 }]) {
        const tenant = 'one'
        const first = firstTurn(question, { sampling, maxTokens: 40 })
        const { text } = await session().ask({ ...first, tenant })
        const second = secondTurn(first, text, 'hello')
        const fresh = await session().ask(second)
        const reused = await session().ask({ ...second, tenant })
        expect(fresh.started?.cachedTokens).toBe(0)
        expect(reused.started?.cachedTokens).toBeGreaterThanOrEqual(256)
        expect(reused.started?.promptSha256).toBe(fresh.started?.promptSha256 ?? '')
        compared++
        if (!Bun.deepEquals(reused.tokenIds, fresh.tokenIds)) changed++
      }
    expect({ compared, changed }).toEqual({ compared: 6, changed: 0 })
  })

  test('a continuation in a slot that knows the prompt has the same ids as the undisturbed answer', async () => {
    const chat = firstTurn('Tell me a short story.', { sampling: sampled, maxTokens: 40 })
    const uncut = await session().ask(chat)
    for (let tokens = 1; tokens < uncut.tokenIds.length; tokens += 6) {
      await session().ask({ ...chat, maxTokens: 1, tenant: 'mover' })
      const rest = await session().ask({ ...chat, tenant: 'mover' }, continuationAt(uncut, tokens))
      expect(rest.started?.cachedTokens).toBeGreaterThan(0)
      expect([...uncut.tokenIds.slice(0, tokens), ...rest.tokenIds]).toEqual([...uncut.tokenIds])
    }
  })

  test('a tenant never finds what another one has left', async () => {
    const chat = firstTurn('What is a GPU pool?', { maxTokens: 2 })
    const cached = async (tenant: string) =>
      (await session().ask({ ...chat, tenant })).started?.cachedTokens
    expect(await cached('first')).toBe(0)
    expect(await cached('second')).toBe(0)
    expect(await cached('first')).toBeGreaterThan(0)
  })

  test('a job finds its slot while the others are full of tokens to come', async () => {
    const busy = new EngineSession(start, { ...demoModel, slots: 3 })
    try {
      await Promise.all([1, 2, 3].map(() => busy.ask(chatJob('hello'))))
      const running = [7, 8].map(seed =>
        busy.begin(chatJob('Tell me a short story.', { sampling: { ...sampled, seed } })),
      )
      await busy.until(() => running.every(answer => answer.frames.length > 0))
      const late = busy.begin(chatJob('hello'))
      await busy.until(() => late.frames.length > 0)
      expect(running.map(answer => answer.ended)).toEqual([null, null])
    } finally {
      await busy.engine.close()
    }
  })
}

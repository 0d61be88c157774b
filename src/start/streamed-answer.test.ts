import { afterEach, expect, test } from 'bun:test'
import { createPoolApi } from './pool-api.ts'
import { streamAnswer } from './streamed-answer.ts'

let server: ReturnType<typeof Bun.serve> | undefined
afterEach(() => server?.stop(true))

/** Asks a server that gives this answer, in these pieces. */
async function ask(status: number, pieces: readonly (string | Uint8Array)[]) {
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: () =>
      new Response(
        (async function* () {
          for (const piece of pieces) yield piece
        })(),
        { status },
      ),
  })
  let text = ''
  const api = createPoolApi(server.url.origin, 'key', new AbortController().signal)
  const problem = await streamAnswer(
    api,
    { model: 'm', prompt: 'p', outputTokensMax: 9 },
    more => (text += more),
  )
  return { text, problem }
}

const delta = (content: string) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`

test('the answer is put together from its deltas, wherever the pieces are cut', async () => {
  const whole = `: hello\n\n${delta('A pööl ')}${delta('joins.')}data: [DONE]\n\n`
  const bytes = Array.from(Buffer.from(whole), byte => Uint8Array.of(byte))
  expect(await ask(200, bytes)).toEqual({ text: 'A pööl joins.', problem: null })
})

test('an error in the stream and an end without [DONE] are told, after the text that came', async () => {
  const failure = `data: ${JSON.stringify({ error: { message: 'agent lost' } })}\n\n`
  expect(await ask(200, [delta('A'), failure])).toEqual({ text: 'A', problem: 'agent lost' })
  await server?.stop(true)
  expect(await ask(200, [delta('A')])).toEqual({ text: 'A', problem: 'the answer broke off' })
})

test('a refusal is told in the server’s words', async () => {
  const body = JSON.stringify({ error: { message: 'no such model' } })
  expect(await ask(404, [body])).toEqual({ text: '', problem: 'no such model' })
})

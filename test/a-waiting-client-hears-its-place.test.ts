import { afterAll, beforeAll, expect, test } from 'bun:test'
import OpenAI from 'openai'
import { Cluster, demoModel } from './support/cluster.ts'
import type { Program } from './support/program.ts'

// One slot, which is busy; the official client waits for it, and so do two streams of others.

let cluster: Cluster
let agent: Program

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel({ slots: 1 })
  agent = await cluster.addAgent('laptop')
  await cluster.ask('hello')
}, 60_000)
afterAll(async () => {
  process.kill(agent.pid, 'SIGCONT')
  await cluster.close()
})

/** What a connection of the client brought, as it comes. */
class Heard {
  #text = ''
  #waiting: { readonly part: string; readonly resolve: () => void }[] = []

  get comments(): readonly string[] {
    return this.#text.split('\n').filter(line => line.startsWith(':'))
  }

  add(text: string): void {
    this.#text += text
    for (const { part, resolve } of this.#waiting) if (this.#text.includes(part)) resolve()
  }

  until(part: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ part, resolve })
    this.add('')
    return promise
  }
}

/** The official client, and what comes over its connection beneath. */
function overheardClient(): { openai: OpenAI; heard: Heard } {
  const heard = new Heard()
  const overhear = async (...request: Parameters<typeof fetch>): Promise<Response> => {
    const response = await fetch(...request)
    if (response.body === null) return response
    const [forClient, forTest] = response.body.tee()
    void (async () => {
      const decoder = new TextDecoder()
      try {
        for await (const bytes of forTest) heard.add(decoder.decode(bytes, { stream: true }))
      } catch {
        // The client has hung up.
      }
    })()
    return new Response(forClient, response)
  }
  const baseURL = `${cluster.ready.apiUrl}/v1`
  return {
    openai: new OpenAI({ apiKey: cluster.adminKey, baseURL, maxRetries: 0, fetch: overhear }),
    heard,
  }
}

function ask(content: string, more: object = {}) {
  const { openai, heard } = overheardClient()
  const messages = [{ role: 'user' as const, content }]
  const request = { model: demoModel, temperature: 0, messages, stream: true as const, ...more }
  return { heard, stream: openai.chat.completions.create(request) }
}

async function textOf(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  return text
}

test('in comments, when it enters the line and when one before it leaves; then comes its answer', async () => {
  const busy = ask('Say something.', { grammar: 'root ::= [a-z]{600}' })
  const busyText = textOf(await busy.stream)
  await busy.heard.until('"content":"')
  // Whoever is at work goes on when the test says so.
  process.kill(agent.pid, 'SIGSTOP')
  const impatient = ask('Count from 3 to 17.')
  const impatientStream = await impatient.stream
  const patient = ask('What is a GPU pool?')
  const patientStream = await patient.stream
  await impatient.heard.until(': queued position=1 estimate=')
  await patient.heard.until(': queued position=2 estimate=')
  impatientStream.controller.abort()
  await patient.heard.until(': queued position=1 estimate=')
  process.kill(agent.pid, 'SIGCONT')
  expect(await textOf(patientStream)).toBe(
    'A GPU pool joins the graphics cards of many ordinary computers so that they can answer requests together.',
  )
  expect(await busyText).toHaveLength(600)
  expect(patient.heard.comments).toHaveLength(2)
}, 60_000)

import { afterEach, expect, test } from 'bun:test'
import { adminEvent } from '../../../test/support/admin-events.ts'
import { ManualTime } from '../../../test/support/manual-time.ts'
import { start } from '../../../test/support/store-fixtures.ts'
import { createLog } from '../log.ts'
import { triesMax } from './webhook-queue.ts'
import { parseWebhookSecret, postTimeoutMs, Webhook, webhookSignature } from './webhook.ts'

type Received = { readonly headers: Headers; readonly body: string }
type Answer = () => Response | Promise<Response>

const open: { stop(): unknown }[] = []
afterEach(async () => {
  for (const each of open.splice(0)) await each.stop()
})

const secretText = `whsec_${Buffer.from('k'.repeat(32)).toString('base64')}`

/** A real HTTP server of this machine that takes what is posted to it, and answers as the test says. */
function receiver(answer: Answer) {
  const received: Received[] = []
  let heard = Promise.withResolvers<void>()
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: async request => {
      received.push({ headers: request.headers, body: await request.text() })
      heard.resolve()
      return answer()
    },
  })
  open.push({ stop: () => server.stop(true) })
  const count = async (messages: number) => {
    while (received.length < messages) {
      await heard.promise
      heard = Promise.withResolvers<void>()
    }
  }
  return { received, count, url: `http://127.0.0.1:${server.port}/hook?token=hidden` }
}

function setUp(url: string, secret: Uint8Array | null = null) {
  const time = new ManualTime(start)
  const lines: string[] = []
  const log = createLog({
    level: 'debug',
    pretty: false,
    clock: time,
    sink: { write: line => void lines.push(line) },
  })
  const timers = { started: Promise.withResolvers<number>() }
  const webhook = new Webhook({
    url,
    secret,
    clock: time,
    log,
    startTimer: (ms, fire) => {
      const cancel = time.startTimer(ms, fire)
      timers.started.resolve(ms)
      return cancel
    },
  })
  open.push({ stop: () => webhook.stop() })
  /** @returns the delay of the next timer that is started from now on */
  const nextTimer = () => (timers.started = Promise.withResolvers<number>()).promise
  return { time, lines, webhook, nextTimer }
}

test('an event is posted as JSON and signed, so that Standard Webhooks’ libraries take it', async () => {
  const { received, count, url } = receiver(() => new Response())
  const secret = parseWebhookSecret(secretText)
  if (secret === undefined) throw new Error('no secret')
  const { webhook } = setUp(url, secret)
  webhook.send(adminEvent({ agentName: 'den' }))
  await count(1)
  const [message] = received
  const { headers, body = '' } = message ?? {}
  expect(JSON.parse(body)).toEqual({
    text: '[warning] den: the file is damaged',
    dropped: 0,
    events: [{ ...adminEvent({ agentName: 'den' }), at: new Date(start).toISOString() }],
  })
  const id = headers?.get('webhook-id') ?? ''
  const timestamp = Number(headers?.get('webhook-timestamp'))
  expect(timestamp).toBe(Math.floor(start / 1_000))
  expect(headers?.get('webhook-signature')).toBe(webhookSignature(secret, id, timestamp, body))
  expect(headers?.get('content-type')).toBe('application/json')
})

test('the signature is the one of the specification’s own example', () => {
  const secret = parseWebhookSecret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
  if (secret === undefined) throw new Error('no secret')
  const body = '{"test": 2432232314}'
  expect(webhookSignature(secret, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, body)).toBe(
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  )
})

test('without a secret nothing is signed', async () => {
  const { received, count, url } = receiver(() => new Response())
  setUp(url).webhook.send(adminEvent())
  await count(1)
  expect(received[0]?.headers.has('webhook-signature')).toBe(false)
})

test('a receiver that fails gets the same message again, under the same id, until it takes it', async () => {
  let failures = 2
  const { received, count, url } = receiver(
    () => new Response('no', { status: failures-- > 0 ? 500 : 204 }),
  )
  const { webhook, time, nextTimer } = setUp(url)
  webhook.send(adminEvent())
  for (const pause of [1_000, 2_000]) {
    expect(await nextTimer()).toBe(pause)
    time.advance(pause)
  }
  await count(3)
  const ids = new Set(received.map(({ headers }) => headers.get('webhook-id')))
  expect(ids.size).toBe(1)
  expect(new Set(received.map(({ body }) => body)).size).toBe(1)
})

test('a receiver that hangs is left after a while and asked again; whoever sends events never waits', async () => {
  const hanging = Promise.withResolvers<void>()
  const { received, count, url } = receiver(() => hanging.promise.then(() => new Response()))
  const { webhook, time, nextTimer } = setUp(url)
  webhook.send(adminEvent({ text: 'first' }))
  webhook.send(adminEvent({ text: 'second' }))
  await count(1)
  const retry = nextTimer()
  time.advance(postTimeoutMs)
  expect(await retry).toBe(1_000)
  time.advance(1_000)
  await count(2)
  expect(received[1]?.body).toBe(received[0]?.body ?? '')
  hanging.resolve()
})

test('a redirection is not followed', async () => {
  const elsewhere = receiver(() => new Response())
  const { count, url } = receiver(() => Response.redirect(elsewhere.url, 307))
  const { webhook, nextTimer } = setUp(url)
  webhook.send(adminEvent())
  await count(1)
  expect(await nextTimer()).toBe(1_000)
  expect(elsewhere.received).toEqual([])
})

test('what nobody takes is given up, and the log says so without the address', async () => {
  const gone = receiver(() => new Response())
  await open.splice(0)[0]?.stop()
  const { webhook, time, lines, nextTimer } = setUp(gone.url)
  webhook.send(adminEvent())
  for (let tries = 1; tries < triesMax; tries++) time.advance(await nextTimer())
  await nextTimer()
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    msg: 'the webhook did not take events',
    count: 1,
    reason: expect.stringMatching(/refused/i) as string,
  })
  expect(lines[0]).not.toContain('hidden')
})

test('stopped, it does nothing more', async () => {
  const hanging = Promise.withResolvers<void>()
  const { received, count, url } = receiver(() => hanging.promise.then(() => new Response()))
  const { webhook, time } = setUp(url)
  webhook.send(adminEvent())
  await count(1)
  webhook.stop()
  webhook.send(adminEvent())
  time.advance(3_600_000)
  expect(received).toHaveLength(1)
  hanging.resolve()
})

test('a secret is whsec_ and base64 of enough bytes', () => {
  expect(parseWebhookSecret(secretText)).toEqual(new Uint8Array(Buffer.from('k'.repeat(32))))
  const short = Buffer.from('k'.repeat(15)).toString('base64')
  const long = Buffer.from('k'.repeat(65)).toString('base64')
  for (const wrong of [
    '',
    'whsec_',
    `whsec_${short}`,
    `whsec_${long}`,
    'hunter2',
    secretText.slice(6),
  ])
    expect(parseWebhookSecret(wrong)).toBeUndefined()
})

import { createHmac } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import type { StartTimer } from '../api/timer.ts'
import type { Log } from '../log.ts'
import type { AdminEvent } from './admin-event.ts'
import {
  WebhookQueue,
  type QueueCommand,
  type QueueEvent,
  type WebhookBatch,
} from './webhook-queue.ts'

/** A receiver that says nothing for so long has not taken the message. */
export const postTimeoutMs = 10_000

export type WebhookDeps = {
  readonly url: string
  /** Null: messages are not signed. */
  readonly secret: Uint8Array | null
  readonly clock: Clock
  readonly log: Log
  readonly startTimer: StartTimer
}

/**
 * Posts events to the address that the operator gave, signed as https://www.standardwebhooks.com has it. Nothing waits for it: a
 * receiver that fails, hangs or is gone costs a few hundred events in memory. The driver around WebhookQueue.
 */
export class Webhook {
  readonly #deps: WebhookDeps
  readonly #queue = new WebhookQueue()
  #messageId = ''
  #cancelWait: () => void = () => {}
  #post: AbortController | null = null
  #stopped = false

  constructor(deps: WebhookDeps) {
    this.#deps = deps
  }

  send(event: AdminEvent): void {
    this.#handle({ type: 'event', event })
  }

  /** What was not taken yet is left to `admin events`. */
  stop(): void {
    this.#stopped = true
    this.#cancelWait()
    this.#post?.abort()
  }

  #handle(event: QueueEvent): void {
    if (this.#stopped) return
    for (const command of this.#queue.handle(event)) this.#perform(command)
  }

  #perform(command: QueueCommand): void {
    const { log, startTimer } = this.#deps
    switch (command.type) {
      case 'post':
        if (command.isNew) this.#messageId = `msg_${crypto.randomUUID()}`
        void this.#postOnce(command.batch)
        return
      case 'wait':
        this.#cancelWait = startTimer(command.ms, () => this.#handle({ type: 'waited' }))
        return
      case 'give_up':
        log.error('the webhook did not take events', {
          reason: command.problem,
          count: command.events,
        })
    }
  }

  async #postOnce(batch: WebhookBatch): Promise<void> {
    const controller = new AbortController()
    this.#post = controller
    const cancelTimeout = this.#deps.startTimer(postTimeoutMs, () => controller.abort())
    const problem = await this.#deliver(batch, controller.signal)
    cancelTimeout()
    this.#post = null
    this.#handle({ type: 'posted', problem })
  }

  /** @returns why the message was not taken, without the address, which may hold a secret; null: it was */
  async #deliver(batch: WebhookBatch, signal: AbortSignal): Promise<string | null> {
    const { url, secret, clock } = this.#deps
    const body = webhookBody(batch)
    const timestamp = Math.floor(clock.now() / 1000)
    try {
      const response = await fetch(url, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'webhook-id': this.#messageId,
          'webhook-timestamp': String(timestamp),
          ...(secret !== null && {
            'webhook-signature': webhookSignature(secret, this.#messageId, timestamp, body),
          }),
        },
        // Elsewhere nobody has said that what happens here may be told.
        redirect: 'manual',
        signal,
      })
      await response.body?.cancel()
      return response.ok ? null : `it answered ${response.status}`
    } catch (error) {
      if (signal.aborted) return `no answer within ${postTimeoutMs / 1000} s`
      return error instanceof Error && 'code' in error ? String(error.code) : 'no connection'
    }
  }
}

/** `text` is for chats that show that field of whatever they get. */
function webhookBody({ events, dropped }: WebhookBatch): string {
  const lines = events.map(
    ({ severity, agentName, text }) =>
      `[${severity}] ${agentName === null ? '' : `${agentName}: `}${text}`,
  )
  const more = dropped === 0 ? [] : [`and ${dropped} earlier ones that nobody was told of`]
  return JSON.stringify({
    text: [...lines, ...more].join('\n'),
    dropped,
    events: events.map(event => ({ ...event, at: new Date(event.at).toISOString() })),
  })
}

/** @returns the header of Standard Webhooks: HMAC-SHA256 over id, time in seconds and body */
export const webhookSignature = (
  secret: Uint8Array,
  id: string,
  timestamp: number,
  body: string,
): string =>
  `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`

const secretBytes = { min: 16, max: 64 } as const

/** @returns the key in `whsec_` and base64, the form that Standard Webhooks' libraries take; undefined: it is none */
export function parseWebhookSecret(text: string): Uint8Array | undefined {
  const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)?.[1]
  if (base64 === undefined) return undefined
  const bytes = new Uint8Array(Buffer.from(base64, 'base64'))
  return bytes.length >= secretBytes.min && bytes.length <= secretBytes.max ? bytes : undefined
}

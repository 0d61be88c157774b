import { createHmac } from 'node:crypto'
import type { ChatJob } from '../../protocol/chat-job.ts'
import type { EmbedJob } from '../../protocol/embed-job.ts'

/**
 * What a request asks for, told from other requests by a keyed hash: two requests have the same one when a worker would do
 * the same work for both, whoever sends them and whenever. Computed only when somebody asks, which is after a worker died.
 */
export class RequestContent {
  readonly #text: () => string
  #key: string | null = null

  private constructor(text: () => string) {
    this.#text = text
  }

  /** Seed, time and tenant are others each time a client asks again, and do not count. */
  static ofChat(model: string, chat: ChatJob): RequestContent {
    return new RequestContent(() => {
      const { renderTimeMs: _time, tenant: _tenant, sampling, ...asked } = chat
      const { seed: _seed, ...chosen } = sampling
      return JSON.stringify(['chat', model, asked, chosen])
    })
  }

  static ofEmbed(model: string, embed: EmbedJob): RequestContent {
    return new RequestContent(() => JSON.stringify(['embed', model, embed]))
  }

  /** @param secret one for all contents that are compared: the hash alone tells nobody what was asked */
  key(secret: Uint8Array): string {
    this.#key ??= createHmac('sha256', secret).update(this.#text()).digest('base64')
    return this.#key
  }
}

import type { ChatJob, Continuation } from '../../protocol/chat-job.ts'
import { limits } from '../../protocol/limits.ts'
import type { TokenFrame } from '../../protocol/token-frame.ts'
import type { TokenUsage } from '../inference.ts'
import type { Started } from './relay-event.ts'

/** What the model's engines tell of their tokens. `unknown`: text alone, so an answer cannot be continued elsewhere. */
export type TokenIds = 'known' | 'unknown'

/**
 * What was accepted of an answer, whoever made it: token ids in order without gap or repetition, and the prompt that they
 * belong to. Usage is counted here and never an agent's word.
 */
export class AcceptedAnswer {
  readonly idsAre: TokenIds
  readonly #chat: ChatJob
  readonly #promptCounts: boolean
  readonly #tokensMax: number
  readonly #topLogprobsMax: number
  /** Ids of the accepted tokens: index i is token i of the answer. */
  readonly #tokenIds: number[] = []
  /** Accepted tokens, those without an id included. */
  #tokens = 0
  #deliveredBytes = 0
  #promptTokens = 0
  #cachedTokens: number | undefined
  #promptSha256: string | null = null

  constructor(chat: ChatJob, idsAre: TokenIds, promptCounts: boolean) {
    this.#chat = chat
    this.idsAre = idsAre
    this.#promptCounts = promptCounts
    this.#tokensMax = chat.maxTokens ?? limits.outputTokensMax
    this.#topLogprobsMax = chat.topLogprobs ?? limits.topLogprobsMax
  }

  get tokens(): number {
    return this.#tokens
  }

  get wantsLogprobs(): boolean {
    return this.#chat.topLogprobs !== undefined
  }

  /** The client has something of an answer that nobody else can go on with. */
  get isPastReturn(): boolean {
    return this.idsAre === 'unknown' && (this.#tokens > 0 || this.#deliveredBytes > 0)
  }

  /** @returns what is wrong with how an agent with so many tokens of context has begun; null: nothing */
  problemOfStart({ promptTokens, promptSha256 }: Started, contextTokens: number): string | null {
    if (this.idsAre === 'unknown') return null
    if (promptTokens === null || promptSha256 === null) return 'a start without its prompt'
    if (this.#tokens > 0 && promptSha256 !== this.#promptSha256)
      return 'another prompt than the first agent'
    return promptTokens > contextTokens ? 'a longer prompt than its context holds' : null
  }

  /**
   * Takes over an agent's prompt until tokens are accepted. From then on it is the same for all, and what a later agent
   * finds in its cache after a loss says nothing about the request.
   */
  setPrompt({ promptTokens, promptSha256, cachedTokens }: Started, contextTokens: number): void {
    if (this.idsAre === 'unknown') {
      if (promptTokens !== null)
        this.#promptTokens = Math.min(promptTokens, this.#promptTokensPossible(contextTokens))
      return
    }
    if (this.#tokens > 0) return
    this.#promptTokens = promptTokens ?? 0
    this.#promptSha256 = promptSha256
    if (cachedTokens !== undefined) this.#cachedTokens = Math.min(cachedTokens, this.#promptTokens)
  }

  /** How much prefill is ahead of an agent that has begun, in tokens. */
  prefillTokens({ promptTokens }: Started, contextTokens: number): number {
    if (this.idsAre === 'known') return promptTokens ?? 0
    const possible = this.#promptTokensPossible(contextTokens)
    return promptTokens === null
      ? Math.ceil(possible / bytesPerTokenUsual)
      : Math.min(promptTokens, possible)
  }

  /** @returns whether the frame was accepted, `repeated` when it was before, or what is wrong with it */
  take(frame: TokenFrame): 'accepted' | 'repeated' | { readonly problem: string } {
    const { tokenId, index } = frame
    if (tokenId === null) {
      if (index !== this.#tokens) return gap
    } else {
      if (index < this.#tokens) return 'repeated'
      if (index > this.#tokens) return gap
      const problem = this.#problemOfToken(frame)
      if (problem !== null) return { problem }
      if (tokenId !== 'unknown') this.#tokenIds.push(tokenId)
      this.#tokens++
    }
    for (const segment of frame.segments) this.#deliveredBytes += Buffer.byteLength(segment.text)
    return 'accepted'
  }

  #problemOfToken({ tokenId, index, logprob }: TokenFrame): string | null {
    if (index >= this.#tokensMax) return 'more tokens than asked for'
    if ((tokenId === 'unknown') !== (this.idsAre === 'unknown'))
      return 'tokens of another kind than its model has'
    if (logprob !== undefined && logprob.top.length > this.#topLogprobsMax)
      return 'more log probabilities than asked for'
    return null
  }

  /** What the next agent needs to go on; null: it begins. */
  continuation(): Continuation | null {
    if (this.#promptSha256 === null || this.#tokenIds.length === 0) return null
    return {
      tokenIds: this.#tokenIds.slice(),
      deliveredBytes: this.#deliveredBytes,
      promptSha256: this.#promptSha256,
    }
  }

  /** Highest contiguous accepted index + 1: the server's count, never an agent's word. */
  usage(): TokenUsage {
    if (!this.#promptCounts) return { promptTokens: 0, completionTokens: this.#tokens }
    return {
      promptTokens: this.#promptTokens,
      completionTokens: this.#tokens,
      ...(this.#cachedTokens !== undefined && { cachedTokens: this.#cachedTokens }),
    }
  }

  /**
   * An engine's word is all there is of a prompt without ids, but it has no more tokens than its context holds or its text
   * has bytes: no tokeniser makes more than one token of one byte.
   */
  #promptTokensPossible(contextTokens: number): number {
    const { messages, tools } = this.#chat
    const possible =
      Buffer.byteLength(JSON.stringify([messages, tools])) +
      templateTokensMax.chat +
      templateTokensMax.message * messages.length
    return Math.min(contextTokens, possible)
  }
}

/** Of text in most languages; only for how long a prefill may take. */
const bytesPerTokenUsual = 4
/** What a chat template may add beside the texts, in tokens: to all, and to each message. */
const templateTokensMax = { chat: 1_024, message: 64 } as const

const gap = { problem: 'a gap in its tokens' } as const

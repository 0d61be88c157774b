import type { SegmentKind } from '../../protocol/token-frame.ts'
import type { DrawnLogprob, TokenLogprob } from '../../protocol/token-logprobs.ts'
import type { ApiFailure } from '../http-error.ts'

/** Log probabilities that are held at once, alternatives included: about 30 MB. */
export const heldLogprobsMax = 131_072

/** How many one token brings. */
export const logprobsOf = ({ top }: DrawnLogprob): number => 1 + top.length

/**
 * Finds the text that a token's log probability belongs to. Tokens come before their text where that is held back, as what may
 * become a stop string: they wait for the next text of the answer. What turns out to be no answer's (the marks of a call or
 * of reasoning, a stop string) is left out with its text.
 */
export class WaitingLogprobs {
  #waiting: DrawnLogprob[] = []
  #held = 0

  /** @returns why there are too many */
  add(logprob: DrawnLogprob): ApiFailure | null {
    this.#held += logprobsOf(logprob)
    if (this.#held > heldLogprobsMax) return tooManyLogprobs
    this.#waiting.push(logprob)
    return null
  }

  /** The next piece of text is of this kind. @returns what belongs to it */
  take(kind: SegmentKind): readonly DrawnLogprob[] {
    if (this.#waiting.length === 0) return none
    const taken = this.#waiting
    this.#waiting = []
    this.#held = 0
    return kind === 'answer' ? taken : none
  }
}

export const tooManyLogprobs: ApiFailure = {
  code: 'internal',
  message: `More than ${heldLogprobsMax} log probabilities would have to be held; stream the answer, or ask for fewer 'top_logprobs'.`,
}

/** As OpenAI has it, for one token. */
export const logprobBody = (drawn: DrawnLogprob) => ({
  ...entryBody(drawn),
  top_logprobs: drawn.top.map(entryBody),
})

/** Half a character is U+FFFD as a text; its bytes tell. */
const entryBody = ({ logprob, bytes }: TokenLogprob) => ({
  token: decoder.decode(bytes),
  logprob,
  bytes: [...bytes],
})

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const none: readonly DrawnLogprob[] = Object.freeze([])

/** Tokens between two rounds of the event loop when an answer comes as fast as it can. */
const burstTokens = 16

type Pace = {
  readonly tokens: number
  readonly intervalMs: number
  /** Index of the first token: those before it came from somebody else. */
  readonly from?: number
}

/**
 * Emits the tokens of one mock answer: the first at once, then one every `intervalMs`, counted from the start so that
 * a late timer delays nothing else; with interval 0 as fast as possible. Both mocks use it, so that direct and relayed
 * streams come out of the same clockwork.
 * @returns stops it
 */
export function paceAnswer(
  { tokens, intervalMs, from = 0 }: Pace,
  emit: (index: number) => void,
  onEnd: () => void,
): () => void {
  const startedAt = performance.now()
  let index = from
  let timer: Timer | null = null
  let immediate: NodeJS.Immediate | null = null
  const step = () => {
    const until = intervalMs === 0 ? Math.min(tokens, index + burstTokens) : index + 1
    while (index < until) emit(index++)
    if (index >= tokens) onEnd()
    else if (intervalMs === 0) immediate = setImmediate(step)
    else {
      const dueInMs = startedAt + (index - from) * intervalMs - performance.now()
      timer = setTimeout(step, Math.max(0, dueInMs))
    }
  }
  step()
  return () => {
    if (timer !== null) clearTimeout(timer)
    if (immediate !== null) clearImmediate(immediate)
  }
}

/** Every token's text: five bytes, as a short English word with its space. */
export const tokenText = ' word'
/** As long as that, but of an answer that somebody else began. */
export const continuedText = ' else'

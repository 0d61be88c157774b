import { newJobId } from '../../protocol/ids.ts'
import type { InferenceRequest } from '../inference.ts'

/** Answers that one request may ask for; each takes a slot, so a large number would only wait for itself. */
export const choicesMax = 8

export type ChoiceRequests = readonly [InferenceRequest, ...InferenceRequest[]]

/**
 * A request of its own for each answer. So each may go to another machine, and one that is lost is continued like any other;
 * what a worker has computed of the prompt it keeps for the next of the same tenant. The first one's seed is the client's, so
 * asking for more answers does not change it. The prompt counts once.
 */
export function choiceRequests(request: InferenceRequest, choices: number): ChoiceRequests {
  const { chat } = request
  const further = Array.from({ length: choices - 1 }, (_, i) => {
    const seed = Bun.hash.xxHash32(`${chat.sampling.seed} ${i + 1}`)
    return {
      ...request,
      jobId: newJobId(),
      chat: { ...chat, sampling: { ...chat.sampling, seed } },
      promptCounts: false as const,
    }
  })
  return [request, ...further]
}

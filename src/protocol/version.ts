/**
 * Version of the protocol between server and agent.
 *
 * History:
 *   1  first version: challenge, hello, welcome; heartbeat; load, unload, assign, cancel, drain; binary token frames
 *
 * The server is upgraded first and speaks the current version and the one before. A change that an old peer can
 * ignore (a new optional field) needs no new version; a new message type is listed in `features` and only sent to a
 * peer that lists it too.
 */
export const protocolVersion = 1

/** What this build can speak, newest first. */
export const protocolVersionsSpoken: readonly number[] = [1]

/**
 * Message types and abilities beyond version 1's base set; a peer sends what the other side listed, nothing else.
 *
 *   inventory  an agent's message: what the machine is has changed since hello
 *   frames     an agent's binary message may hold several token frames (token-frames.ts)
 *   external   an agent's message `external_models`; tokens without ids, and `started` without the prompt's figures
 *   embeddings the server's message `assign_embed` with texts to embed, answered by vector frames (vector-frame.ts)
 *   rerank     the same with documents to rate for a query
 *   sampling   a chat job's optional sampling fields: top_k, min_p, penalties, biases (chat-job.ts)
 *   grammar    a chat job's `constraint` (the answer follows a grammar) and `parallelToolCalls`
 *   logprobs   a chat job's `topLogprobs`, answered by log probabilities in token frames (token-logprobs.ts)
 */
export const protocolFeatures = [
  'inventory',
  'frames',
  'external',
  'embeddings',
  'rerank',
  'sampling',
  'grammar',
  'logprobs',
] as const
export type ProtocolFeature = (typeof protocolFeatures)[number]

/**
 * Picks the newest version that both sides speak.
 * @returns the version, or undefined when there is none (the agent is then told `upgrade_required`)
 */
export function negotiateVersion(
  ours: readonly number[],
  theirs: readonly number[],
): number | undefined {
  const common = ours.filter(version => theirs.includes(version))
  return common.length === 0 ? undefined : Math.max(...common)
}

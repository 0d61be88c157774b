import type { ModelManifest } from '../../models/manifest.ts'
import { chatNeeds } from '../../protocol/chat-needs.ts'
import type { AgentId } from '../../protocol/ids.ts'
import type { Assign, ServerMessage } from '../../protocol/server-message.ts'
import type { ProtocolFeature } from '../../protocol/version.ts'
import type { PromptPrefix } from '../../scheduler/prefix-affinity.ts'
import { expectedTokenCost } from '../../scheduler/token-cost.ts'
import type { EmbedEvent, EmbedRequest, InferenceEvent, InferenceRequest } from '../inference.ts'
import type { TokenIds } from '../relay/accepted-answer.ts'
import { EmbedRelay } from '../relay/embed-relay.ts'
import { RelayStream } from '../relay/relay-stream.ts'
import { vectorBytes } from './model-refusal.ts'
import { promptPrefixes } from './prompt-prefixes.ts'
import { RequestContent } from './request-content.ts'

/** One request in flight, of whatever kind: the pure relay and what the driver needs beside it. */
export type Flight = Departure & {
  readonly stream: number
  /** Who was to take over when it was placed last, best first. */
  fallbacks: readonly AgentId[]
  /** Its client is gone. */
  isCancelled: boolean
}

/** A request that is about to be taken. */
export type Departure = {
  readonly request: Omit<InferenceRequest, 'chat'>
  /** Features that an agent must have listed to run it. */
  readonly needs: readonly ProtocolFeature[]
  /** Starts of the prompt, by which an agent is found that has one of them. */
  readonly prefixes: readonly PromptPrefix[]
  readonly relay: Pick<
    RelayStream,
    'attemptOn' | 'dueAt' | 'handle' | 'isBeginningOn' | 'isFrom' | 'record'
  >
  /** What the agent is told to do. */
  readonly assignment: (attempt: Omit<Assign, 'type' | 'chat'>) => ServerMessage
  readonly onEvent: (event: InferenceEvent) => void
  readonly content: RequestContent
  /** Of the job on the wire. */
  readonly wireBytes: number
  /** Of the job, and of vectors that are on their way: what is kept until the end. */
  readonly keptBytes: number
  /** What it will probably take, in tokens of a prompt; see token-cost.ts. */
  readonly costTokens: number
}

/** @param tokenIds whether the model's engine tells them, by the catalogue */
export function chatDeparture(
  request: InferenceRequest,
  onEvent: (event: InferenceEvent) => void,
  tokenIds: TokenIds,
): Departure {
  const { chat } = request
  const wireBytes = Buffer.byteLength(JSON.stringify(chat))
  return {
    request,
    needs: chatNeeds(chat),
    prefixes: promptPrefixes(request.model, chat),
    relay: new RelayStream(chat, tokenIds, request.promptCounts ?? true),
    assignment: attempt => ({ type: 'assign', ...attempt, chat }),
    onEvent,
    content: RequestContent.ofChat(request.model, chat),
    wireBytes,
    keptBytes: wireBytes,
    costTokens: expectedTokenCost(wireBytes, chat.maxTokens),
  }
}

/** @param manifest of the model that is asked for; undefined: there is none of that name, as the scheduler will say */
export function embedDeparture(
  request: EmbedRequest,
  manifest: ModelManifest | undefined,
  onEvent: (event: EmbedEvent) => void,
): Departure {
  const { embed } = request
  const relay = new EmbedRelay(embed, manifest?.embedding?.dimensions ?? null)
  const wireBytes = Buffer.byteLength(JSON.stringify(embed))
  return {
    request,
    // Its model's kind says what an agent must know.
    needs: [],
    prefixes: [],
    relay,
    assignment: ({ jobId, stream, attempt, instanceId }) => ({
      type: 'assign_embed',
      jobId,
      stream,
      attempt,
      instanceId,
      embed,
    }),
    onEvent: event => {
      if (event.type === 'failed') onEvent(event)
      else if (event.type === 'finished')
        onEvent({ type: 'finished', vectors: relay.vectors, usage: event.usage })
    },
    content: RequestContent.ofEmbed(request.model, embed),
    wireBytes,
    keptBytes: wireBytes + vectorBytes(manifest, request),
    costTokens: expectedTokenCost(wireBytes, 0),
  }
}

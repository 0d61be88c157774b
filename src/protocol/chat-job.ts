import { Type, type Static } from 'typebox'
import { limits } from './limits.ts'

const Text = Type.String()

export const ToolCallSchema = Type.Object({
  id: Type.String({ maxLength: 256 }),
  name: Type.String({ maxLength: 256 }),
  /** JSON text, as the model wrote it. */
  arguments: Text,
})
export type ToolCall = Static<typeof ToolCallSchema>

export const ChatMessageSchema = Type.Union([
  Type.Object({ role: Type.Literal('system'), content: Text }),
  Type.Object({ role: Type.Literal('user'), content: Text }),
  Type.Object({
    role: Type.Literal('assistant'),
    content: Type.Union([Text, Type.Null()]),
    toolCalls: Type.Optional(Type.Array(ToolCallSchema, { maxItems: 128 })),
  }),
  Type.Object({
    role: Type.Literal('tool'),
    content: Text,
    toolCallId: Type.String({ maxLength: 256 }),
  }),
])
export type ChatMessage = Static<typeof ChatMessageSchema>

/** A function the model may call; `parameters` is a JSON schema and is passed to the chat template as it came. */
export const ToolSchema = Type.Object({
  name: Type.String({ maxLength: 256 }),
  description: Type.Optional(Text),
  parameters: Type.Optional(Type.Unknown()),
})
export type Tool = Static<typeof ToolSchema>

const TokenId = Type.Integer({ minimum: 0, maximum: 4_294_967_295 })

/** Everything optional is left out where it changes nothing, and needs an agent with the feature `sampling`. */
export const SamplingSchema = Type.Object({
  /** 0 is greedy. */
  temperature: Type.Number({ minimum: 0, maximum: 2 }),
  topP: Type.Number({ minimum: 0, maximum: 1 }),
  /** Always set (the server draws one when the client does not): token i is sampled with hash(seed, i). */
  seed: Type.Integer({ minimum: 0, maximum: 4_294_967_295 }),
  /** So many of the likeliest tokens are candidates. */
  topK: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  /** Candidates have at least this share of the likeliest one's probability. */
  minP: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  /** Penalties count the answer's own tokens, never the prompt's, so that a continuation counts alike. */
  frequencyPenalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2 })),
  presencePenalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2 })),
  /** Divides the logits of tokens that the answer has (multiplies negative ones). */
  repetitionPenalty: Type.Optional(Type.Number({ minimum: 0.01, maximum: 10 })),
  /** Added to the logits of these tokens of the model's own vocabulary. */
  logitBias: Type.Optional(
    Type.Array(
      Type.Object({ tokenId: TokenId, bias: Type.Number({ minimum: -100, maximum: 100 }) }),
      { maxItems: limits.logitBiasesMax },
    ),
  ),
})
export type Sampling = Static<typeof SamplingSchema>

/** What the answer must look like. Needs an agent with the feature `grammar`. */
export const ConstraintSchema = Type.Object({
  /**
   * GBNF (llama.cpp's grammars/README.md): the answer is what its rule `root` allows. Where the prompt ends inside the
   * model's reasoning, that comes first and is free.
   */
  grammar: Type.String({ minLength: 1, maxLength: limits.grammarBytesMax }),
  /** It allows tool calls and nothing else: only a model whose template knows them can be asked. */
  toolCalls: Type.Optional(Type.Literal(true)),
  /** The fields of the request that say the same, for engines that are asked by OpenAI's API. */
  asked: Type.Record(Type.String({ maxLength: 64 }), Type.Unknown()),
})
export type Constraint = Static<typeof ConstraintSchema>

/** One chat completion as the worker gets it. Self-contained: any agent can run it, now or after another one failed. */
export const ChatJobSchema = Type.Object({
  messages: Type.Array(ChatMessageSchema, { minItems: 1, maxItems: limits.messagesPerRequestMax }),
  tools: Type.Array(ToolSchema, { maxItems: limits.toolsPerRequestMax }),
  /** Absent: as many calls as the model likes; false: its answer ends with the first. Needs the feature `grammar`. */
  parallelToolCalls: Type.Optional(Type.Literal(false)),
  sampling: SamplingSchema,
  /** Absent: any text. */
  constraint: Type.Optional(ConstraintSchema),
  /**
   * How likely each token was, and so many of the likeliest ones in its place, go with its frame. Absent: not wanted. Needs
   * the feature `logprobs`.
   */
  topLogprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: limits.topLogprobsMax })),
  /** Null: until the model stops or the context is full. */
  maxTokens: Type.Union([
    Type.Integer({ minimum: 1, maximum: limits.outputTokensMax }),
    Type.Null(),
  ]),
  stop: Type.Array(Type.String({ minLength: 1, maxLength: limits.stopStringBytesMax }), {
    maxItems: limits.stopStringsMax,
  }),
  /** The time that templates see (`strftime_now`), fixed at admission so that a second attempt renders the same prompt. */
  renderTimeMs: Type.Number({ minimum: 0 }),
  /**
   * Whose job it is, opaque to agents: only jobs of one tenant may share what a worker has computed of their prompts.
   * Absent: shared with nobody.
   */
  tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
})
export type ChatJob = Static<typeof ChatJobSchema>

/** What a second attempt starts from: the tokens that the first one got accepted by the server. */
export const ContinuationSchema = Type.Object({
  tokenIds: Type.Array(TokenId, { maxItems: limits.outputTokensMax }),
  /** Bytes of segment text (see token-frame.ts) that the client already got for these tokens, all kinds added up. */
  deliveredBytes: Type.Integer({ minimum: 0 }),
  /** Must equal the new attempt's prompt hash, else the attempt fails with `internal` before its first token. */
  promptSha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
})
export type Continuation = Static<typeof ContinuationSchema>

/** `stop`: end of turn or a stop string. `length`: maxTokens or the context is full. */
export const FinishReasonSchema = Type.Union([
  Type.Literal('stop'),
  Type.Literal('length'),
  Type.Literal('tool_calls'),
])
export type FinishReason = Static<typeof FinishReasonSchema>

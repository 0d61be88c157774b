import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'

const Text = Type.Optional(Type.Union([Type.String(), Type.Null()]))
/** Far above every context; only keeps a wrong figure from being more than a number of tokens. */
const Count = Type.Integer({ minimum: 0, maximum: 2_147_483_647 })

const ToolCallPartSchema = Type.Object({
  index: Type.Optional(Type.Integer({ minimum: 0, maximum: 127 })),
  id: Text,
  function: Type.Optional(Type.Object({ name: Text, arguments: Text })),
})
export type ToolCallPart = Static<typeof ToolCallPartSchema>

/**
 * One event of a streamed chat completion, as far as it is used; engines differ in what they leave out or set to null.
 * The reasoning's field is `reasoning_content` (llama-server, older vLLM) or `reasoning` (Ollama, newer vLLM).
 */
const CompletionChunkSchema = Type.Object({
  choices: Type.Optional(
    Type.Union([
      Type.Null(),
      Type.Array(
        Type.Object({
          delta: Type.Optional(
            Type.Union([
              Type.Null(),
              Type.Object({
                content: Text,
                reasoning_content: Text,
                reasoning: Text,
                tool_calls: Type.Optional(
                  Type.Union([Type.Null(), Type.Array(ToolCallPartSchema, { maxItems: 128 })]),
                ),
              }),
            ]),
          ),
          finish_reason: Text,
        }),
        { maxItems: 16 },
      ),
    ]),
  ),
  usage: Type.Optional(
    Type.Union([Type.Null(), Type.Object({ prompt_tokens: Type.Optional(Count) })]),
  ),
  /** llama-server: the prompt's tokens that were computed, and those that it had kept. */
  timings: Type.Optional(
    Type.Union([
      Type.Null(),
      Type.Object({ prompt_n: Type.Optional(Count), cache_n: Type.Optional(Count) }),
    ]),
  ),
  /** Instead of choices, when something went wrong in the middle of the stream. */
  error: Type.Optional(Type.Unknown()),
})
export type CompletionChunk = Static<typeof CompletionChunkSchema>

const check = Compile(CompletionChunkSchema)

/** @returns the chunk; null when the text is none */
export function parseCompletionChunk(text: string): CompletionChunk | null {
  try {
    const value: unknown = JSON.parse(text)
    return check.Check(value) ? value : null
  } catch {
    return null
  }
}

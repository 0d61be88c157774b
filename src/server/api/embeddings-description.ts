import { t } from 'elysia'
import { limits } from '../../protocol/limits.ts'
import { describeRoute, integer, poolErrors } from './describe-route.ts'

const Tokens = t.Array(integer({ minimum: 0 }), { maxItems: limits.inputTokensMax })

const Request = t.Object({
  model: t.String({ description: 'An embedding model that GET /v1/models lists' }),
  input: t.Union(
    [
      t.String(),
      Tokens,
      t.Array(t.Union([t.String(), Tokens]), { maxItems: limits.inputsPerRequestMax }),
    ],
    { description: 'A text, the token ids of one, or an array of them; none may be empty' },
  ),
  encoding_format: t.Optional(
    t.Union([t.Literal('float'), t.Literal('base64')], {
      default: 'float',
      description: 'base64: 32-bit values, little-endian',
    }),
  ),
  dimensions: t.Optional(
    integer({
      minimum: 1,
      description:
        'Cuts the vectors and makes them as long as before (length 1); only for models whose operator says that they may be cut',
    }),
  ),
  embd_normalize: t.Optional(
    integer({ default: 2, description: '2: vectors of length 1. -1: as the model makes them' }),
  ),
})

const Answer = t.Object({
  object: t.Literal('list'),
  data: t.Array(
    t.Object({
      object: t.Literal('embedding'),
      index: integer(),
      embedding: t.Union([t.Array(t.Number()), t.String({ description: 'base64' })]),
    }),
  ),
  model: t.String(),
  usage: t.Object({ prompt_tokens: integer(), total_tokens: integer() }),
})

export const embeddingsDescription = describeRoute({
  tag: 'Inference',
  summary: 'Embed texts',
  description:
    "OpenAI's embeddings. Vectors come in the order of the inputs and have length 1. An input that is longer than the " +
    'model takes is refused by its number; nothing is ever cut silently. ' +
    `A request may have ${limits.inputsPerRequestMax} inputs, a body of 4 MiB, and vectors of ${limits.vectorBytesPerRequestMax / 1024 ** 2} MiB (4 bytes a value).`,
  scope: 'infer',
  body: {
    schema: Request,
    examples: {
      one: { model: 'nomic-embed-text', input: 'search_query: What is a GPU pool?' },
      several: {
        model: 'nomic-embed-text',
        input: ['search_document: A pool joins GPUs.', 'search_document: A pond holds water.'],
        encoding_format: 'base64',
      },
      tokens: { model: 'nomic-embed-text', input: [[2054, 2003, 1037, 4770]] },
    },
  },
  success: {
    description: 'The vectors. The header `x-request-id` names the request in the server’s log.',
    schema: Answer,
    example: {
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.0123, -0.0456, 0.0789] }],
      model: 'nomic-embed-text',
      usage: { prompt_tokens: 12, total_tokens: 12 },
    },
  },
  errors: [
    { code: 'invalid_request', message: "Invalid 'input[3]': it is empty." },
    { code: 'prompt_too_long', message: 'input[3] has 900 tokens; the model takes 512 tokens' },
    {
      code: 'unsupported',
      message: "The model 'llama' cannot do this; it answers chats: POST /v1/chat/completions.",
    },
    ...poolErrors,
  ],
})

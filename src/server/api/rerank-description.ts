import { t } from 'elysia'
import { limits } from '../../protocol/limits.ts'
import { describeRoute, integer, poolErrors } from './describe-route.ts'

const Request = t.Object({
  model: t.String({ description: 'A reranker that GET /v1/models lists' }),
  query: t.String({ minLength: 1 }),
  documents: t.Array(t.Union([t.String(), t.Object({ text: t.String() })]), {
    minItems: 1,
    maxItems: limits.inputsPerRequestMax,
  }),
  top_n: t.Optional(integer({ minimum: 1, description: 'How many of the best; all by default' })),
  return_documents: t.Optional(t.Boolean({ default: false })),
})

const Answer = t.Object({
  object: t.Literal('list'),
  model: t.String(),
  results: t.Array(
    t.Object({
      index: integer({ description: 'Of the document in the request, from 0' }),
      relevance_score: t.Number({ description: '0 to 1; comparable only within one model' }),
      document: t.Optional(t.Object({ text: t.String() })),
    }),
  ),
  usage: t.Object({ prompt_tokens: integer(), total_tokens: integer() }),
})

export const rerankDescription = describeRoute({
  tag: 'Inference',
  summary: 'Rate documents for a query',
  description:
    'The request of Jina and Cohere, as llama-server answers it: the best document first. Query and document together ' +
    'must fit the model; a document that does not is refused by its number, since nothing is ever cut silently. The ' +
    'scores are those of the model through a sigmoid (llama-server gives them without).',
  scope: 'infer',
  body: {
    schema: Request,
    examples: {
      best: {
        model: 'bge-reranker',
        query: 'What is a panda?',
        documents: ['hi', 'It is a bear.', 'The giant panda is a bear endemic to China.'],
        top_n: 2,
      },
    },
  },
  success: {
    description: 'The scores. The header `x-request-id` names the request in the server’s log.',
    schema: Answer,
    example: {
      object: 'list',
      model: 'bge-reranker',
      results: [
        { index: 2, relevance_score: 0.97 },
        { index: 1, relevance_score: 0.31 },
      ],
      usage: { prompt_tokens: 48, total_tokens: 48 },
    },
  },
  errors: [
    { code: 'invalid_request', message: "Missing required parameter: 'documents'." },
    { code: 'prompt_too_long', message: 'documents[3] has 900 tokens; the model takes 512 tokens' },
    {
      code: 'unsupported',
      message: "The model 'nomic' cannot do this; it makes embeddings: POST /v1/embeddings.",
    },
    ...poolErrors,
  ],
})

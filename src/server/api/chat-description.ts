import { t } from 'elysia'
import { choicesMax } from './choice-requests.ts'
import { describeRoute, integer, poolErrors } from './describe-route.ts'

const Message = t.Object({
  role: t.String({ description: 'system, developer, user, assistant or tool' }),
  content: t.Nullable(
    t.Union([t.String(), t.Array(t.Object({ type: t.Literal('text'), text: t.String() }))]),
  ),
  tool_calls: t.Optional(t.Array(t.Unknown(), { description: 'Calls an assistant made before' })),
  tool_call_id: t.Optional(t.String({ description: 'Role tool: the call this answers' })),
})

const penalty = (description: string) =>
  t.Number({ minimum: -2, maximum: 2, default: 0, description })

const Request = t.Object({
  model: t.String({ description: 'A name that GET /v1/models lists' }),
  messages: t.Array(Message, { minItems: 1 }),
  stream: t.Optional(t.Boolean({ default: false, description: 'Server-sent events' })),
  stream_options: t.Optional(
    t.Object({ include_usage: t.Boolean({ description: 'A last chunk with the usage' }) }),
  ),
  n: t.Optional(
    integer({
      minimum: 1,
      maximum: choicesMax,
      default: 1,
      description: 'Answers; the prompt counts once. All of them come, or the request fails',
    }),
  ),
  temperature: t.Optional(
    t.Number({ minimum: 0, maximum: 2, default: 1, description: '0 is greedy' }),
  ),
  top_p: t.Optional(t.Number({ minimum: 0, maximum: 1, default: 1 })),
  max_completion_tokens: t.Optional(integer({ minimum: 1 })),
  max_tokens: t.Optional(integer({ minimum: 1, description: 'Older name of the same' })),
  stop: t.Optional(
    t.Union([t.String(), t.Array(t.String(), { maxItems: 4 })], {
      description: 'Texts that end the answer; they are not part of it',
    }),
  ),
  seed: t.Optional(integer({ description: 'The same seed gives the same answer' })),
  frequency_penalty: t.Optional(penalty('For each time a token is in the answer already')),
  presence_penalty: t.Optional(penalty('Once for each token that is in the answer already')),
  logit_bias: t.Optional(
    t.Record(t.String(), t.Number({ minimum: -100, maximum: 100 }), {
      description: 'By token id, at most 1024; tokens that end a turn cannot be biased',
    }),
  ),
  top_k: t.Optional(integer({ minimum: -1, description: 'Not OpenAI’s; 0 or -1: all tokens' })),
  min_p: t.Optional(t.Number({ minimum: 0, maximum: 1, default: 0, description: 'Not OpenAI’s' })),
  repetition_penalty: t.Optional(
    t.Number({
      minimum: 0.01,
      maximum: 10,
      default: 1,
      description: 'Not OpenAI’s; also called repeat_penalty',
    }),
  ),
  logprobs: t.Optional(
    t.Boolean({
      default: false,
      description:
        'How likely each token of the answer was, as the model itself said: before temperature, penalties, biases and grammars',
    }),
  ),
  top_logprobs: t.Optional(
    integer({
      minimum: 0,
      maximum: 20,
      description: 'With `logprobs`: so many of the likeliest tokens in each place',
    }),
  ),
  response_format: t.Optional(
    t.Unknown({
      description:
        'type `text`, `json_object`, or `json_schema` with `json_schema: {name, schema, strict}`. The answer follows ' +
        'the schema by construction. A keyword that cannot be kept (`multipleOf`, `not`, `uniqueItems`, …) is refused; ' +
        '`oneOf` is taken as `anyOf`; an object whose schema does not allow further properties gets none.',
    }),
  ),
  grammar: t.Optional(
    t.String({ description: 'Not OpenAI’s: a GBNF grammar, as llama.cpp has it, for the answer' }),
  ),
  tools: t.Optional(
    t.Array(
      t.Object({
        type: t.Literal('function'),
        function: t.Object({
          name: t.String(),
          description: t.Optional(t.String()),
          parameters: t.Optional(t.Unknown({ description: 'JSON schema' })),
        }),
      }),
    ),
  ),
  tool_choice: t.Optional(
    t.Unknown({
      description:
        '`none`, `auto`, `required`, or `{type: "function", function: {name}}`. A forced call has arguments that ' +
        'follow the function’s `parameters`; where those cannot be kept it is refused with `strict: true`, and ' +
        'without it the arguments are any object.',
    }),
  ),
  service_tier: t.Optional(
    t.String({
      description:
        '`flex`: behind all others when there is a line. `priority`: before all others, for keys with the scope ' +
        '`infer:priority`; other keys are served as by `default`. `auto` is `default`. The answer tells which it was.',
    }),
  ),
  parallel_tool_calls: t.Optional(
    t.Boolean({ default: true, description: 'false: the answer ends with the first call' }),
  ),
})

const logprobEntry = {
  token: t.String(),
  logprob: t.Number({ description: 'Natural logarithm of its probability' }),
  bytes: t.Array(integer(), { description: 'Of its text in UTF-8; half a character is one' }),
}

const Answer = t.Object({
  id: t.String(),
  object: t.Literal('chat.completion'),
  created: integer({ description: 'Seconds since 1970' }),
  model: t.String(),
  choices: t.Array(
    t.Object({
      index: integer(),
      message: t.Object({
        role: t.Literal('assistant'),
        content: t.Nullable(t.String()),
        refusal: t.Null(),
        reasoning_content: t.Optional(t.String({ description: 'What the model thought first' })),
        tool_calls: t.Optional(t.Array(t.Unknown())),
      }),
      logprobs: t.Nullable(
        t.Object({
          content: t.Array(
            t.Object({
              ...logprobEntry,
              top_logprobs: t.Array(t.Object(logprobEntry)),
            }),
          ),
          refusal: t.Null(),
        }),
      ),
      finish_reason: t.String({ description: 'stop, length or tool_calls' }),
    }),
  ),
  service_tier: t.Optional(
    t.String({ description: 'How it was served, when the request asked: default, flex, priority' }),
  ),
  usage: t.Object({
    prompt_tokens: integer(),
    completion_tokens: integer(),
    total_tokens: integer(),
    prompt_tokens_details: t.Optional(
      t.Object({
        cached_tokens: integer({ description: 'Computed before, for an earlier request' }),
      }),
    ),
  }),
})

const weatherTool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather in a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}

const chunk = (delta: object, finishReason: string | null) =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-6fd0…',
    object: 'chat.completion.chunk',
    created: 1_795_000_000,
    model: 'llama-3.1-8b-q4',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
  })}\n\n`

export const chatDescription = describeRoute({
  tag: 'Inference',
  summary: 'Answer a chat',
  description:
    "OpenAI's chat completions: any OpenAI SDK works with this server's `/v1` as its base URL. With `stream: true` " +
    'the answer comes as server-sent events. Fields that nobody here knows are ignored; known ones that cannot be ' +
    'honoured (images, audio) are refused with 400.',
  scope: 'infer',
  body: {
    schema: Request,
    examples: {
      short: {
        model: 'llama-3.1-8b-q4',
        messages: [{ role: 'user', content: 'Why is the sky blue?' }],
      },
      streamed: {
        model: 'llama-3.1-8b-q4',
        messages: [
          { role: 'system', content: 'Answer in one sentence.' },
          { role: 'user', content: [{ type: 'text', text: 'Why is the sky blue?' }] },
        ],
        stream: true,
        stream_options: { include_usage: true },
        temperature: 0.7,
        seed: 42,
        max_completion_tokens: 200,
        stop: ['\n\n'],
      },
      tools: {
        model: 'llama-3.1-8b-q4',
        messages: [{ role: 'user', content: 'What is the weather in Oslo?' }],
        tools: [weatherTool],
        tool_choice: 'auto',
      },
      'how likely each token was': {
        model: 'llama-3.1-8b-q4',
        messages: [{ role: 'user', content: 'Is the sky blue? Answer yes or no.' }],
        logprobs: true,
        top_logprobs: 2,
        max_completion_tokens: 1,
      },
    },
  },
  success: {
    description: 'The answer. The header `x-request-id` names the request in the server’s log.',
    schema: Answer,
    example: {
      id: 'chatcmpl-6fd0b1f2-5c55-4f5e-9f9e-0f8a3c1d2e3f',
      object: 'chat.completion',
      created: 1_795_000_000,
      model: 'llama-3.1-8b-q4',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'Because air scatters blue light.',
            refusal: null,
          },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 15, completion_tokens: 8, total_tokens: 23 },
    },
    otherContent: {
      'text/event-stream': `${chunk({ role: 'assistant', content: '' }, null)}${chunk({ content: 'Because' }, null)}${chunk({}, 'stop')}data: [DONE]\n\n`,
    },
  },
  errors: [
    { code: 'invalid_request', message: "Missing required parameter: 'messages'." },
    { code: 'invalid_request', message: "Invalid 'n': expected a value from 1 to 8." },
    { code: 'unsupported', message: "'modalities' other than text are not supported." },
    { code: 'prompt_too_long', message: 'The prompt has 9000 tokens; the context holds 8192.' },
    { code: 'agent_lost', message: 'The machine that ran this request was lost.' },
    ...poolErrors,
  ],
})

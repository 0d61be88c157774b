/** What a client asks for; the same request always has the same answer. */
export type AskedAnswer = { readonly name: string; readonly request: object }

// The ids of tool calls follow from the seed, too.
const user = (content: string) => ({
  messages: [{ role: 'user', content }],
  max_tokens: 128,
  seed: 7,
})
const greedy = { temperature: 0 }
const story = user('Tell me a short story.')

const schema = {
  type: 'object',
  properties: {
    names: { type: 'array', items: { type: 'string', maxLength: 8 }, minItems: 2, maxItems: 3 },
    degrees: { type: 'integer', minimum: -50, maximum: 60 },
    note: { type: 'string', maxLength: 20 },
  },
  required: ['names', 'degrees', 'note'],
  additionalProperties: false,
}
const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    strict: true,
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string', maxLength: 12 },
        days: { type: 'integer', minimum: 1, maximum: 9 },
      },
      required: ['city', 'days'],
      additionalProperties: false,
    },
  },
}
const lines = 'root ::= line{4}\nline ::= "- " word (" " word){1,4} "\\n"\nword ::= [a-z]{2,7}'

/** One of each kind that has a state of its own, which the next agent must come to by the tokens alone. */
export const askedAnswers: readonly AskedAnswer[] = [
  // 128 tokens, with a letter of two bytes that comes as two of them.
  { name: 'chat', request: { ...greedy, ...user('Tell me a story about Chloé.') } },
  // A prompt of two pieces, whose first one a slot may still hold; the answer ends with the context.
  {
    name: 'full-context',
    request: {
      ...user('Tell me a story about a tired horse. '.repeat(44) + 'Now!'),
      temperature: 0.8,
      top_p: 0.9,
    },
  },
  { name: 'sampled', request: { ...story, temperature: 0.9 } },
  {
    name: 'penalties',
    request: {
      ...story,
      temperature: 1.1,
      frequency_penalty: 0.4,
      presence_penalty: 0.3,
      logprobs: true,
      top_logprobs: 2,
    },
  },
  // The first looks like coming twice and never comes, the second is held back until the model has ended.
  {
    name: 'stop',
    request: {
      ...greedy,
      ...story,
      stop: ['Robert the foxtrot', 'the park was never lonely again!', 'And then'],
    },
  },
  {
    name: 'stopped',
    request: { ...greedy, ...story, stop: ['Robert was tired, but Rosa sang a song. In the end'] },
  },
  {
    name: 'json',
    request: {
      ...greedy,
      ...user('hi'),
      response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } },
    },
  },
  { name: 'grammar', request: { ...greedy, ...user('hi'), grammar: lines } },
  {
    name: 'call',
    request: {
      ...greedy,
      ...user('hello'),
      tools: [weather],
      tool_choice: 'required',
      parallel_tool_calls: false,
    },
  },
  // Nothing forces it, so all of its text is held back until it is one.
  {
    name: 'free-call',
    request: { ...greedy, ...user('What is the weather in Paris?'), tools: [weather] },
  },
]

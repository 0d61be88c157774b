import type { ChatJob, ChatMessage, Sampling, Tool } from '../../protocol/chat-job.ts'

/**
 * A job as the body of OpenAI's `POST /chat/completions`. Unless a client asked for more, only fields that OpenAI's
 * reference has: a strict server refuses a request over one that it does not know. Engines that are known and can are asked to tell the prompt's tokens with the
 * first piece, so that an answer that breaks off is not booked without them.
 * @param engine as `readModels` names it
 */
export const completionRequest = (modelId: string, engine: string, chat: ChatJob): object => {
  const { messages, tools, sampling, constraint, maxTokens, stop } = chat
  return {
    model: modelId,
    messages: messages.map(messageOf),
    temperature: sampling.temperature,
    top_p: sampling.topP,
    seed: sampling.seed,
    ...furtherSampling(sampling, engine),
    stream: true,
    stream_options: {
      include_usage: true,
      ...(engine === 'vllm' && { continuous_usage_stats: true }),
    },
    ...(engine === 'llama-server' && { timings_per_token: true }),
    ...(tools.length > 0 && { tools: tools.map(toolOf) }),
    ...(chat.parallelToolCalls === false && { parallel_tool_calls: false }),
    ...constraint?.asked,
    ...(stop.length > 0 && { stop }),
    // The older name: every engine knows it, and some know only that.
    ...(maxTokens !== null && { max_tokens: maxTokens }),
  }
}

/**
 * What was asked for beyond OpenAI's defaults. Fields that OpenAI's reference lacks go under llama-server's names, which
 * most engines know: an engine that refuses one says so, and dropping it would answer something else.
 */
const furtherSampling = (sampling: Sampling, engine: string): object => {
  const { topK, minP, frequencyPenalty, presencePenalty, repetitionPenalty, logitBias } = sampling
  const repetitionName = engine === 'vllm' ? 'repetition_penalty' : 'repeat_penalty'
  return {
    ...(topK !== undefined && { top_k: topK }),
    ...(minP !== undefined && { min_p: minP }),
    ...(frequencyPenalty !== undefined && { frequency_penalty: frequencyPenalty }),
    ...(presencePenalty !== undefined && { presence_penalty: presencePenalty }),
    ...(repetitionPenalty !== undefined && { [repetitionName]: repetitionPenalty }),
    ...(logitBias !== undefined && {
      logit_bias: Object.fromEntries(logitBias.map(({ tokenId, bias }) => [tokenId, bias])),
    }),
  }
}

const toolOf = ({ name, description, parameters }: Tool): object => ({
  type: 'function',
  function: {
    name,
    ...(description !== undefined && { description }),
    ...(parameters !== undefined && { parameters }),
  },
})

function messageOf(message: ChatMessage): object {
  switch (message.role) {
    case 'system':
    case 'user':
      return { role: message.role, content: message.content }
    case 'tool':
      return { role: 'tool', content: message.content, tool_call_id: message.toolCallId }
    case 'assistant': {
      const { content, toolCalls = [] } = message
      const calls = toolCalls.map(({ id, name, arguments: text }) => ({
        id,
        type: 'function',
        function: { name, arguments: text },
      }))
      return { role: 'assistant', content, ...(calls.length > 0 && { tool_calls: calls }) }
    }
  }
}

import type { ChatJob, ChatMessage, Tool } from '../../protocol/chat-job.ts'

/**
 * A job as the body of OpenAI's `POST /chat/completions`. Only fields that OpenAI's reference has: a strict server refuses
 * a request over one that it does not know. Engines that are known and can are asked to tell the prompt's tokens with the
 * first piece, so that an answer that breaks off is not booked without them.
 * @param engine as `readModels` names it
 */
export const completionRequest = (modelId: string, engine: string, chat: ChatJob): object => {
  const { messages, tools, sampling, maxTokens, stop } = chat
  return {
    model: modelId,
    messages: messages.map(messageOf),
    temperature: sampling.temperature,
    top_p: sampling.topP,
    seed: sampling.seed,
    stream: true,
    stream_options: {
      include_usage: true,
      ...(engine === 'vllm' && { continuous_usage_stats: true }),
    },
    ...(engine === 'llama-server' && { timings_per_token: true }),
    ...(tools.length > 0 && { tools: tools.map(toolOf) }),
    ...(stop.length > 0 && { stop }),
    // The older name: every engine knows it, and some know only that.
    ...(maxTokens !== null && { max_tokens: maxTokens }),
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

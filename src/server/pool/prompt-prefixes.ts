import type { ChatJob, ChatMessage } from '../../protocol/chat-job.ts'
import type { PromptPrefix } from '../../scheduler/prefix-affinity.ts'

/** Hashes of one prompt. Of a longer chain the start counts (what conversations share) and the end (what goes on). */
export const prefixesMax = 16
const prefixesAtStart = 4
/** A message is cut into blocks of so many letters, for those that grow from request to request. */
const blockChars = 4_096
/** English text; an estimate is enough, for it only weighs what is saved against other agents' load. */
const charsPerToken = 4

/**
 * The starts of a prompt, from short to long, by which the scheduler knows an agent that has computed one of them. Each
 * hash covers everything before its end, beginning with the tenant's tag and the model: the same words of two tenants have
 * nothing in common.
 * @returns none for a job that shares nothing
 */
export function promptPrefixes(model: string, chat: ChatJob): readonly PromptPrefix[] {
  if (chat.tenant === undefined) return []
  const prefixes: PromptPrefix[] = []
  let state = Bun.hash.wyhash(`${chat.tenant}\n${model}\n${toolsText(chat)}`)
  let chars = 0
  for (const message of chat.messages) {
    const text = messageText(message)
    for (let from = 0; from === 0 || from < text.length; from += blockChars) {
      const block = text.slice(from, from + blockChars)
      state = Bun.hash.wyhash(block, state)
      chars += block.length
      prefixes.push({
        hash: Number(BigInt.asUintN(hashBits, state)),
        tokens: Math.ceil(chars / charsPerToken),
      })
    }
  }
  if (prefixes.length <= prefixesMax) return prefixes
  return [...prefixes.slice(0, prefixesAtStart), ...prefixes.slice(prefixesAtStart - prefixesMax)]
}

/** What a number holds exactly. */
const hashBits = 52

const toolsText = ({ tools }: ChatJob): string => (tools.length === 0 ? '' : JSON.stringify(tools))

const messageText = (message: ChatMessage): string =>
  message.role === 'assistant' && message.toolCalls !== undefined
    ? JSON.stringify(message)
    : `${message.role}\n${message.content ?? ''}`

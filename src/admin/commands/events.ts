import type { EventView } from '../../server/admin/event-routes.ts'
import { countOption, jsonOption, list, textOption, type Command } from '../command.ts'
import { withoutControls } from '../table.ts'

export const eventCommands: readonly Command[] = [
  {
    name: 'events',
    args: [],
    options: {
      agent: { type: 'string', value: 'ID', what: 'only of this agent' },
      limit: { type: 'string', value: 'N', what: 'so many, the newest first (50)' },
      ...jsonOption,
    },
    summary: 'show what the operator should know',
    examples: ['events', 'events --limit 10 --json'],
    async run(invocation) {
      const limit = countOption(invocation, 'limit')
      if (limit !== null && typeof limit !== 'number') return limit
      const agent = textOption(invocation, 'agent')
      const query = new URLSearchParams({
        ...(limit !== null && { limit: String(limit) }),
        ...(agent !== null && { agent }),
      })
      const answer = await invocation.api.get<{ data: readonly EventView[] }>(
        `/admin/events?${query.toString()}`,
      )
      if ('problem' in answer) return answer
      return list(invocation, answer.body.data, events => events.map(eventLines).join(''))
    },
  },
]

/** Two lines each: a table would cut what matters, the text. */
function eventLines({ at, severity, type, agentName, text, times }: EventView): string {
  const who = agentName === null ? '' : ` ${agentName}`
  const often = times === 1 ? '' : ` (${times} times)`
  const lines = [`${at} ${severity} ${type.replaceAll('_', ' ')}${who}${often}`, `  ${text}`]
  return lines.map(line => `${withoutControls(line)}\n`).join('')
}

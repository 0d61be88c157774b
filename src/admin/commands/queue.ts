import type { QueueRow } from '../../scheduler/waiting-room.ts'
import { jsonOption, list, type Command } from '../command.ts'
import { formatTable } from '../table.ts'

const seconds = (ms: number | null): string => (ms === null ? '?' : `${Math.ceil(ms / 1_000)} s`)

export const queueCommands: readonly Command[] = [
  {
    name: 'queue',
    args: [],
    options: jsonOption,
    summary: 'show who waits for a slot, by model and class',
    examples: ['queue', 'queue --json'],
    async run(invocation) {
      const answer = await invocation.api.get<{ data: readonly QueueRow[] }>('/admin/queue')
      if ('problem' in answer) return answer
      return list(invocation, answer.body.data, rows =>
        formatTable(
          ['MODEL', 'CLASS', 'WAITING', 'KEYS', 'LONGEST', 'EMPTY IN'],
          rows.map(row => [
            row.model,
            row.priority,
            String(row.waiting),
            String(row.tenants),
            seconds(row.longestMs),
            seconds(row.emptyMs),
          ]),
        ),
      )
    },
  },
]

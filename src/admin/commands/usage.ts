import type { UsageRow } from '../../server/store/store.ts'
import { jsonOption, list, type Command } from '../command.ts'
import { formatTable } from '../table.ts'

export const usageCommands: readonly Command[] = [
  {
    name: 'usage',
    args: [],
    options: jsonOption,
    summary: 'show tokens by key and model',
    examples: ['usage', 'usage --json'],
    async run(invocation) {
      const answer = await invocation.api.get<{ data: readonly UsageRow[] }>('/admin/usage')
      if ('problem' in answer) return answer
      return list(invocation, answer.body.data, rows =>
        formatTable(
          ['KEY', 'MODEL', 'REQUESTS', 'PROMPT', 'COMPLETION'],
          rows.map(row => [
            row.keyName,
            row.model,
            String(row.requests),
            String(row.promptTokens),
            String(row.completionTokens),
          ]),
        ),
      )
    },
  },
]

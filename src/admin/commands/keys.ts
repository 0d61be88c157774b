import { jsonOption, list, textOption, wrongUsage, type Command } from '../command.ts'
import { formatTable } from '../table.ts'

type Key = {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly createdAt: string
  readonly revokedAt: string | null
}

const day = (time: string): string => time.slice(0, 10)

export const keyCommands: readonly Command[] = [
  {
    name: 'keys create',
    args: [],
    options: {
      name: { type: 'string', value: 'NAME', what: 'what it is for; required' },
      scopes: {
        type: 'string',
        value: 'A,B',
        what: 'infer, infer:priority, models:read, admin (infer,models:read)',
      },
    },
    summary: 'make an API key and print it, this once',
    examples: [
      'keys create --name "chat page"',
      'keys create --name "on call" --scopes infer,infer:priority',
      'keys create --name deploy --scopes admin',
    ],
    async run(invocation) {
      const name = textOption(invocation, 'name')
      if (name === null) return wrongUsage('--name is missing: say what the key is for')
      const scopes = textOption(invocation, 'scopes')?.split(',') ?? null
      const answer = await invocation.api.post<Key & { key: string }>('/admin/keys', {
        name,
        scopes,
      })
      if ('problem' in answer) return answer
      invocation.output.out(`${answer.body.key}\n`)
      invocation.output.note('Keep it; it is not shown again.\n')
      return null
    },
  },
  {
    name: 'keys ls',
    args: [],
    options: jsonOption,
    summary: 'list the API keys',
    examples: ['keys ls', 'keys ls --json'],
    async run(invocation) {
      const answer = await invocation.api.get<{ data: readonly Key[] }>('/admin/keys')
      if ('problem' in answer) return answer
      return list(invocation, answer.body.data, keys =>
        formatTable(
          ['ID', 'NAME', 'SCOPES', 'CREATED', 'REVOKED'],
          keys.map(key => [
            key.id,
            key.name,
            key.scopes.join(','),
            day(key.createdAt),
            key.revokedAt === null ? '-' : day(key.revokedAt),
          ]),
        ),
      )
    },
  },
  {
    name: 'keys revoke',
    args: ['ID'],
    options: {},
    summary: 'revoke an API key, at once',
    examples: ['keys revoke q7Zt0aB2'],
    async run({ api, args, output }) {
      const [id = ''] = args
      const answer = await api.delete(`/admin/keys/${encodeURIComponent(id)}`)
      if ('problem' in answer) return answer
      output.note(`${id} is revoked.\n`)
      return null
    },
  },
]

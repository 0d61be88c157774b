import { wrongUsage, type Command, type Invocation, type Problem } from '../command.ts'
import { parseDuration } from '../duration.ts'

type Stay = { readonly pinned: boolean; readonly idleUnloadMs: number | null }

/** A name may hold slashes. */
const pathOf = (name: string): string => `/admin/models/${encodeURIComponent(name)}/stay`

async function change(
  { api, args, output }: Invocation,
  body: Partial<Stay>,
  told: string,
): Promise<Problem | null> {
  const [name = ''] = args
  const answer = await api.post<Stay>(pathOf(name), body)
  if ('problem' in answer) return answer
  output.note(`${name} ${told}.\n`)
  return null
}

/** How long models stay in the agents' memory. */
export const modelStayCommands: readonly Command[] = [
  {
    name: 'models pin',
    args: ['NAME'],
    options: {},
    summary: 'keep a model in memory wherever it is loaded',
    examples: ['models pin llama-3.1-8b'],
    run: invocation => change(invocation, { pinned: true }, 'stays where it is loaded'),
  },
  {
    name: 'models unpin',
    args: ['NAME'],
    options: {},
    summary: 'let a model go when another one needs its room',
    examples: ['models unpin llama-3.1-8b'],
    run: invocation => change(invocation, { pinned: false }, 'may go to make room for another'),
  },
  {
    name: 'models idle',
    args: ['NAME', 'TIME|never|default'],
    options: {},
    summary: 'unload a model when it was unused so long',
    examples: ['models idle llama-3.1-8b 2h', 'models idle llama-3.1-8b never'],
    async run(invocation) {
      const [, text = ''] = invocation.args
      if (text === 'default')
        return change(invocation, { idleUnloadMs: null }, 'goes when the agents think best')
      if (text === 'never')
        return change(invocation, { idleUnloadMs: 0 }, 'never goes for being idle')
      const idleUnloadMs = parseDuration(text)
      if (idleUnloadMs === null || idleUnloadMs === 0)
        return wrongUsage(`'${text}' is no time; write 90s, 15m, 2h or 7d, never or default`)
      return change(invocation, { idleUnloadMs }, `goes when it was not used for ${text}`)
    },
  },
]

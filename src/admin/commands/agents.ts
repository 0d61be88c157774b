import type { AgentView } from '../../server/admin/agent-view.ts'
import type { Answer, ApiClient } from '../api-client.ts'
import { jsonOption, list, type Command } from '../command.ts'
import { formatTable } from '../table.ts'

/** Characters of an id that the table shows; a few of them are enough to name an agent. */
const shownIdCharacters = 8

/** Finds an agent by id, by the beginning of its id, or by name. */
async function findAgent(api: ApiClient, what: string): Promise<Answer<AgentView>> {
  const answer = await api.get<{ data: readonly AgentView[] }>('/admin/agents')
  if ('problem' in answer) return answer
  const { data } = answer.body
  const found = data.filter(agent => agent.name === what || agent.id.startsWith(what))
  const exact = found.find(agent => agent.id === what)
  const [only, another] = exact === undefined ? found : [exact]
  if (only === undefined) return { problem: `there is no agent ${what}; see: admin agents ls` }
  if (another !== undefined)
    return { problem: `${what} fits ${found.length} agents; write more of the id` }
  return { body: only }
}

const change = (action: 'approve' | 'drain' | 'resume' | 'revoke', summary: string): Command => ({
  name: `agents ${action}`,
  args: ['AGENT'],
  options: {},
  summary,
  examples: [`agents ${action} gaming-pc`, `agents ${action} 0d3f1c52`],
  async run({ api, args, output }) {
    const agent = await findAgent(api, args[0] ?? '')
    if ('problem' in agent) return agent
    const answer = await api.post<AgentView>(`/admin/agents/${agent.body.id}/${action}`)
    if ('problem' in answer) return answer
    output.note(`${answer.body.name} is ${answer.body.adminState}.\n`)
    return null
  },
})

export const agentCommands: readonly Command[] = [
  {
    name: 'agents ls',
    args: [],
    options: jsonOption,
    summary: 'list the machines of the pool',
    examples: ['agents ls', 'agents ls --json'],
    async run(invocation) {
      const answer = await invocation.api.get<{ data: readonly AgentView[] }>('/admin/agents')
      if ('problem' in answer) return answer
      return list(invocation, answer.body.data, agents =>
        formatTable(
          ['ID', 'NAME', 'STATE', 'STATUS', 'RELIABLE', 'BUSY', 'MODELS'],
          agents.map(agent => [
            agent.id.slice(0, shownIdCharacters),
            agent.name,
            agent.adminState,
            agent.connected ? agent.status : 'offline',
            `${Math.round(agent.reliability * 100)}%`,
            String(agent.activeRequests),
            agent.instances.map(instance => instance.model).join(',') || '-',
          ]),
        ),
      )
    },
  },
  {
    name: 'agents show',
    args: ['AGENT'],
    options: {},
    summary: 'print everything about a machine, as JSON',
    examples: ['agents show gaming-pc', 'agents show 0d3f1c52'],
    async run({ api, args, output }) {
      const agent = await findAgent(api, args[0] ?? '')
      if ('problem' in agent) return agent
      const answer = await api.get<object>(`/admin/agents/${agent.body.id}`)
      if ('problem' in answer) return answer
      output.out(`${JSON.stringify(answer.body, null, 2)}\n`)
      return null
    },
  },
  change('approve', 'let a pending machine have work'),
  change('drain', 'give a machine no new work'),
  change('resume', 'give a drained machine work again'),
  change('revoke', 'throw a machine out for good'),
]

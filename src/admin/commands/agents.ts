import type { AgentDetails, AgentView } from '../../server/admin/agent-view.ts'
import { formatAgent } from '../agent-text.ts'
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

/** Its name without the maker's, and its memory; in brackets when it may not serve. */
function deviceText({ name, memoryMb, eligible }: AgentView['devices'][number]): string {
  const memory = memoryMb === null ? '' : ` ${Math.round(memoryMb / 1024)}G`
  const text = `${name.replace(/^(NVIDIA GeForce|NVIDIA|AMD Radeon|AMD|Intel) /, '')}${memory}`
  return eligible ? text : `[${text}]`
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
          ['ID', 'NAME', 'STATE', 'STATUS', 'RELIABLE', 'BUSY', 'GPU', 'SCORE', 'MODELS'],
          agents.map(agent => [
            agent.id.slice(0, shownIdCharacters),
            agent.name,
            agent.adminState,
            agent.connected ? agent.status : 'offline',
            `${Math.round(agent.reliability * 100)}%`,
            String(agent.activeRequests),
            agent.devices.map(device => deviceText(device)).join(',') || '-',
            agent.devices.map(({ score }) => Math.round(score)).join(',') || '-',
            agent.instances.map(instance => instance.model).join(',') || '-',
          ]),
        ),
      )
    },
  },
  {
    name: 'agents show',
    args: ['AGENT'],
    options: jsonOption,
    summary: 'print everything about a machine',
    examples: ['agents show gaming-pc', 'agents show 0d3f1c52 --json'],
    async run({ api, args, output, options }) {
      const agent = await findAgent(api, args[0] ?? '')
      if ('problem' in agent) return agent
      const answer = await api.get<AgentDetails>(`/admin/agents/${agent.body.id}`)
      if ('problem' in answer) return answer
      const { body } = answer
      output.out(
        options['json'] === true ? `${JSON.stringify(body, null, 2)}\n` : formatAgent(body),
      )
      return null
    },
  },
  change('approve', 'let a pending machine have work'),
  change('drain', 'give a machine no new work'),
  change('resume', 'give a drained machine work again'),
  change('revoke', 'throw a machine out for good'),
]

import { Elysia, t } from 'elysia'
import { isAgentId } from '../../protocol/ids.ts'
import { describeRoute } from '../api/describe-route.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import { errorResponse } from '../http-error.ts'
import type { PoolAdmin } from '../pool-admin.ts'
import type { AdminState, Store } from '../store/store.ts'
import { agentDetailsExample, agentExample } from './agent-example.ts'
import { AgentDetails, AgentView, toAgentDetails, toAgentView } from './agent-view.ts'

const historyRowsMax = 50

type Action = {
  readonly path: 'approve' | 'drain' | 'resume' | 'revoke'
  readonly from: readonly AdminState[]
  readonly to: AdminState
  readonly summary: string
  readonly description: string
}

/** What an operator may do with an agent, and from where; each may be repeated without harm. */
const actions = {
  approve: {
    path: 'approve',
    from: ['pending', 'active'],
    to: 'active',
    summary: 'Approve an agent',
    description: 'A pending agent gets work from now on.',
  },
  drain: {
    path: 'drain',
    from: ['active', 'draining'],
    to: 'draining',
    summary: 'Drain an agent',
    description: 'It finishes what it has and gets nothing new, until it is resumed.',
  },
  resume: {
    path: 'resume',
    from: ['draining', 'active'],
    to: 'active',
    summary: 'Resume a drained agent',
    description:
      'It gets work again. An unhealthy one is forgiven the inferences that it failed until now.',
  },
  revoke: {
    path: 'revoke',
    from: ['pending', 'active', 'draining', 'revoked'],
    to: 'revoked',
    summary: 'Revoke an agent',
    description:
      'It is disconnected, its work moves, and it can never connect again; it would have to enrol anew.',
  },
} as const satisfies Record<string, Action>

const unknownAgent = { code: 'not_found', message: 'There is no agent with this id.' } as const

const describeList = describeRoute({
  tag: 'Agents',
  summary: 'List the agents',
  scope: 'admin',
  success: {
    description: 'All agents, connected or not',
    schema: t.Object({ data: t.Array(AgentView) }),
    example: { data: [agentExample] },
  },
  errors: [],
})

const describeOne = describeRoute({
  tag: 'Agents',
  summary: 'Show an agent',
  description:
    'For each device: what it is and does, whether it may serve and why, and its score. For each model of the ' +
    'catalogue: how the machine could hold it, and why no better.',
  scope: 'admin',
  success: {
    description: 'The agent, its machine and its recent history',
    schema: AgentDetails,
    example: agentDetailsExample,
  },
  errors: [unknownAgent],
})

const describeAction = ({ summary, description }: Action) =>
  describeRoute({
    tag: 'Agents',
    summary,
    description,
    scope: 'admin',
    success: { description: 'The agent afterwards', schema: AgentView, example: agentExample },
    errors: [unknownAgent, { code: 'conflict', message: 'The agent is revoked; …' }],
  })

export const agentRoutes = (deps: {
  readonly keys: KeyService
  readonly poolAdmin: PoolAdmin
  readonly store: Store
}) => {
  const { poolAdmin, store } = deps
  const act = async (id: string, action: Action) => {
    const before = isAgentId(id) ? await poolAdmin.getAgent(id) : undefined
    if (before === undefined) return errorResponse(unknownAgent)
    const { id: agentId, name, adminState } = before.record
    if (!action.from.includes(adminState))
      return errorResponse({
        code: 'conflict',
        message: `${name} is ${adminState}; '${action.path}' is for agents that are ${action.from.join(' or ')}.`,
      })
    await poolAdmin.setAdminState(agentId, action.to)
    const after = await poolAdmin.getAgent(agentId)
    return after === undefined ? errorResponse(unknownAgent) : toAgentView(after)
  }
  const params = t.Object({ id: t.String({ description: 'The agent’s id' }) })
  const options = (action: Action) =>
    ({ scope: 'admin', parse: 'none', params, detail: describeAction(action) }) as const
  return new Elysia({ name: 'admin-agents' })
    .use(requireScope(deps.keys))
    .get('/admin/agents', async () => ({ data: (await poolAdmin.listAgents()).map(toAgentView) }), {
      scope: 'admin',
      detail: describeList,
    })
    .get(
      '/admin/agents/:id',
      async ({ params: { id } }) => {
        const agent = isAgentId(id) ? await poolAdmin.getAgent(id) : undefined
        if (agent === undefined) return errorResponse(unknownAgent)
        return toAgentDetails(agent, await store.listHistory(agent.record.id, historyRowsMax))
      },
      { scope: 'admin', params, detail: describeOne },
    )
    .post(
      '/admin/agents/:id/approve',
      c => act(c.params.id, actions.approve),
      options(actions.approve),
    )
    .post('/admin/agents/:id/drain', c => act(c.params.id, actions.drain), options(actions.drain))
    .post(
      '/admin/agents/:id/resume',
      c => act(c.params.id, actions.resume),
      options(actions.resume),
    )
    .post(
      '/admin/agents/:id/revoke',
      c => act(c.params.id, actions.revoke),
      options(actions.revoke),
    )
}

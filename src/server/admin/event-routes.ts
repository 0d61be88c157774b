import { Elysia, t } from 'elysia'
import { isAgentId } from '../../protocol/ids.ts'
import { describeRoute, integer } from '../api/describe-route.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import { errorResponse } from '../http-error.ts'
import type { AdminEvent } from '../notify/admin-event.ts'
import type { Store } from '../store/store.ts'

const rowsDefault = 50
const rowsMax = 1_000

const EventView = t.Object({
  type: t.String({ description: 'For programs, for example agent_unhealthy' }),
  severity: t.UnionEnum(['info', 'warning', 'critical']),
  at: t.String({ format: 'date-time' }),
  agentId: t.Nullable(t.String({ format: 'uuid' })),
  agentName: t.Nullable(t.String()),
  model: t.Nullable(t.String()),
  text: t.String({ description: 'For people' }),
  times: integer({ description: 'How often it happened since it was told the last time' }),
})
export type EventView = typeof EventView.static

const describe = describeRoute({
  tag: 'Events',
  summary: 'What the operator should know',
  description:
    'Machines that fail too often, are too hot, have a driver with known trouble or stay away; models that a machine ' +
    'cannot serve; requests in quarantine; a database that cannot be written. Newest first; `limit` of them ' +
    `(${rowsDefault}, at most ${rowsMax}), of one \`agent\` if that is given.`,
  scope: 'admin',
  success: {
    description: 'The newest events',
    schema: t.Object({ data: t.Array(EventView) }),
    example: {
      data: [
        {
          type: 'agent_unhealthy',
          severity: 'critical',
          at: '2026-12-01T12:00:00.000Z',
          agentId: '0d3f1c52-8f0e-4b7a-9a55-2f9f4f6f1f11',
          agentName: 'gaming-pc',
          model: null,
          text: '5 of 40 inferences failed in 24 h, 12.5 %; 5 % are allowed',
          times: 1,
        },
      ],
    },
  },
  errors: [
    { code: 'invalid_request', message: `Invalid 'limit': a number from 1 to ${rowsMax}.` },
    { code: 'not_found', message: 'There is no agent with this id.' },
  ],
})

export const eventRoutes = (deps: { readonly keys: KeyService; readonly store: Store }) =>
  new Elysia({ name: 'admin-events' }).use(requireScope(deps.keys)).get(
    '/admin/events',
    async ({ request }) => {
      const query = new URL(request.url).searchParams
      const limit = query.get('limit') ?? String(rowsDefault)
      if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > rowsMax)
        return errorResponse({
          code: 'invalid_request',
          message: `Invalid 'limit': a number from 1 to ${rowsMax}.`,
          param: 'limit',
        })
      const agent = query.get('agent')
      const agentId = agent !== null && isAgentId(agent) ? agent : null
      if (
        agent !== null &&
        (agentId === null || (await deps.store.getAgent(agentId)) === undefined)
      )
        return errorResponse({ code: 'not_found', message: 'There is no agent with this id.' })
      const events = await deps.store.listEvents({ agentId, limitRows: Number(limit) })
      return { data: events.map(toView) }
    },
    { scope: 'admin', detail: describe },
  )

const toView = (event: AdminEvent): EventView => ({
  ...event,
  at: new Date(event.at).toISOString(),
})

import { Elysia, t } from 'elysia'
import type { QueueRow } from '../../scheduler/waiting-room.ts'
import { describeRoute, integer } from '../api/describe-route.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import type { PoolAdmin } from '../pool-admin.ts'

const Queue = t.Object({
  data: t.Array(
    t.Object({
      model: t.String(),
      priority: t.String({ description: 'high, normal or low' }),
      waiting: integer({ description: 'Requests' }),
      tenants: integer({ description: 'Keys that they are of' }),
      longestMs: integer({ description: 'How long the first of them has waited' }),
      emptyMs: t.Nullable(
        integer({
          description: 'Until the last one for the model starts; null while nothing was measured',
        }),
      ),
    }),
  ),
})

const describe = describeRoute({
  tag: 'Usage',
  summary: 'Who waits, by model and class',
  description:
    'Requests that found every slot busy, now. Models that nobody waits for are left out.',
  scope: 'admin',
  success: {
    description: 'One row per model and class',
    schema: Queue,
    example: {
      data: [
        {
          model: 'llama-3.1-8b-q4',
          priority: 'normal',
          waiting: 51,
          tenants: 2,
          longestMs: 4200,
          emptyMs: 38000,
        },
      ],
    },
  },
  errors: [],
})

export const queueRoutes = (deps: { readonly keys: KeyService; readonly poolAdmin: PoolAdmin }) =>
  new Elysia({ name: 'admin-queue' }).use(requireScope(deps.keys)).get(
    '/admin/queue',
    (): { readonly data: readonly QueueRow[] } => ({
      data: deps.poolAdmin.queue().map(row => ({
        ...row,
        longestMs: Math.round(row.longestMs),
        emptyMs: row.emptyMs === null ? null : Math.round(row.emptyMs),
      })),
    }),
    { scope: 'admin', detail: describe },
  )

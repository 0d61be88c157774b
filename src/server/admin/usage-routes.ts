import { Elysia, t } from 'elysia'
import { describeRoute, integer } from '../api/describe-route.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import type { Store, UsageRow } from '../store/store.ts'

const Usage = t.Object({
  data: t.Array(
    t.Object({
      keyId: t.String(),
      keyName: t.String(),
      model: t.String(),
      requests: integer(),
      promptTokens: integer(),
      completionTokens: integer(),
    }),
  ),
})

const describe = describeRoute({
  tag: 'Usage',
  summary: 'Usage by key and model',
  description: 'Sums since the pool exists, counted by the server and never by an agent’s word.',
  scope: 'admin',
  success: {
    description: 'One row per key and model',
    schema: Usage,
    example: {
      data: [
        {
          keyId: 'q7Zt0aB2',
          keyName: 'chat page',
          model: 'llama-3.1-8b-q4',
          requests: 12,
          promptTokens: 3400,
          completionTokens: 2100,
        },
      ],
    },
  },
  errors: [],
})

export const usageRoutes = (deps: { readonly keys: KeyService; readonly store: Store }) =>
  new Elysia({ name: 'admin-usage' }).use(requireScope(deps.keys)).get(
    '/admin/usage',
    async (): Promise<{ readonly data: readonly UsageRow[] }> => ({
      data: await deps.store.usage(),
    }),
    { scope: 'admin', detail: describe },
  )

import { Elysia, t } from 'elysia'
import { describeRoute } from '../api/describe-route.ts'
import { adminKeyId } from '../auth/admin-key.ts'
import { isScope, scopes, type KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import { errorResponse, isFailure } from '../http-error.ts'
import type { FieldReader } from '../api/field-reader.ts'
import type { KeyRecord, Scope } from '../store/store.ts'
import { readAdminBody } from './admin-body.ts'

const keyNameCharactersMax = 128
const defaultScopes: readonly Scope[] = ['infer', 'models:read']

const Key = t.Object({
  id: t.String({ description: 'Public part of the key' }),
  name: t.String(),
  scopes: t.Array(t.String({ description: scopes.join(', ') })),
  createdAt: t.String({ format: 'date-time' }),
  revokedAt: t.Nullable(t.String({ format: 'date-time' })),
})
const KeyList = t.Object({ data: t.Array(Key) })
const NewKey = t.Object({ ...Key.properties, key: t.String({ description: 'Shown only here' }) })
const Revoked = t.Object({ id: t.String(), revoked: t.Literal(true) })

const example: typeof Key.static = {
  id: 'q7Zt0aB2',
  name: 'chat page',
  scopes: ['infer', 'models:read'],
  createdAt: '2026-12-01T12:00:00.000Z',
  revokedAt: null,
}

const describeList = describeRoute({
  tag: 'Keys',
  summary: 'List the API keys',
  description: 'Revoked ones too. The operator’s own key is not among them.',
  scope: 'admin',
  success: { description: 'All keys', schema: KeyList, example: { data: [example] } },
  errors: [],
})

const describeCreate = describeRoute({
  tag: 'Keys',
  summary: 'Make an API key',
  scope: 'admin',
  body: {
    schema: t.Object({
      name: t.String({ minLength: 1, maxLength: keyNameCharactersMax }),
      scopes: t.Optional(t.Array(t.String(), { default: [...defaultScopes] })),
    }),
    examples: {
      forAClient: { name: 'chat page' },
      forAnOperator: { name: 'deploy script', scopes: ['admin', 'models:read'] },
    },
  },
  success: {
    status: 201,
    description: 'The key, shown this once',
    schema: NewKey,
    example: { ...example, key: 'gpk_q7Zt0aB2_…' },
  },
  errors: [{ code: 'invalid_request', message: "Missing required parameter: 'name'." }],
})

const unknownKey = {
  code: 'not_found',
  message: 'There is no such key, or it was revoked before.',
} as const

const describeRevoke = describeRoute({
  tag: 'Keys',
  summary: 'Revoke an API key',
  description: 'In force as soon as this answers.',
  scope: 'admin',
  success: {
    description: 'Revoked',
    schema: Revoked,
    example: { id: 'q7Zt0aB2', revoked: true },
  },
  errors: [unknownKey],
})

export const keyRoutes = ({ keys }: { readonly keys: KeyService }) =>
  new Elysia({ name: 'admin-keys' })
    .use(requireScope(keys))
    .get('/admin/keys', async () => ({ data: (await keys.list()).map(toKey) }), {
      scope: 'admin',
      detail: describeList,
    })
    .post(
      '/admin/keys',
      async ({ request }) => {
        const input = await readAdminBody(request, ['name', 'scopes'], (body, read) => ({
          name: parseName(body['name'], read),
          scopes: parseScopes(body['scopes'], read),
        }))
        if (isFailure(input)) return errorResponse(input)
        const { record, key } = await keys.create(input)
        return Response.json({ ...toKey(record), key }, { status: 201 })
      },
      { scope: 'admin', parse: 'none', detail: describeCreate },
    )
    .delete(
      '/admin/keys/:id',
      async ({ params: { id } }) => {
        if (id === adminKeyId)
          return errorResponse({
            code: 'invalid_request',
            message:
              'The operator’s own key is not revoked here: change GPUPOOL_ADMIN_KEY, or delete admin.key, and restart.',
          })
        return (await keys.revoke(id)) ? { id, revoked: true } : errorResponse(unknownKey)
      },
      {
        scope: 'admin',
        params: t.Object({ id: t.String() }),
        parse: 'none',
        detail: describeRevoke,
      },
    )

function parseName(value: unknown, read: FieldReader): string {
  const name = read.requiredString(value, 'name', keyNameCharactersMax).trim()
  if (name === '') read.fail('name', "Invalid 'name': it is empty.")
  return name
}

function parseScopes(value: unknown, read: FieldReader): readonly Scope[] {
  const items = read.array(value, 'scopes', scopes.length)
  if (items === null) return defaultScopes
  const chosen: Scope[] = []
  for (const [index, item] of items.entries())
    if (typeof item === 'string' && isScope(item)) chosen.push(item)
    else
      read.fail(`scopes[${index}]`, `Invalid 'scopes[${index}]'. Scopes are: ${scopes.join(', ')}.`)
  if (items.length === 0)
    read.fail('scopes', "Invalid 'scopes': a key without scopes is of no use.")
  return chosen
}

const toKey = (record: KeyRecord): typeof Key.static => ({
  id: record.id,
  name: record.name,
  scopes: [...record.scopes],
  createdAt: new Date(record.createdAt).toISOString(),
  revokedAt: record.revokedAt === null ? null : new Date(record.revokedAt).toISOString(),
})

import { Elysia, t } from 'elysia'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import { errorResponse } from '../http-error.ts'
import type { ModelRecord, Store } from '../store/store.ts'
import { describeRoute, integer } from './describe-route.ts'

const ApiModel = t.Object({
  id: t.String({ description: 'Name for `model` in requests' }),
  object: t.Literal('model'),
  created: integer({ description: 'Seconds since 1970' }),
  owned_by: t.String(),
  kind: t.String({ description: 'What it is for: chat, embedding or rerank' }),
})
const ApiModelList = t.Object({ object: t.Literal('list'), data: t.Array(ApiModel) })

const example = {
  id: 'llama-3.1-8b-q4',
  object: 'model',
  created: 1_795_000_000,
  owned_by: 'gpupool',
  kind: 'chat',
}
const unknownModel = {
  code: 'model_not_found',
  message: 'There is no model of this name.',
} as const

const describeList = describeRoute({
  tag: 'Inference',
  summary: 'List the models',
  scope: 'models:read',
  success: {
    description: 'Every model of the pool',
    schema: ApiModelList,
    example: { object: 'list', data: [example] },
  },
  errors: [],
})

const describeOne = describeRoute({
  tag: 'Inference',
  summary: 'Show a model',
  description: 'A name may hold slashes, written as they are or as `%2F`.',
  scope: 'models:read',
  success: { description: 'The model', schema: ApiModel, example },
  errors: [unknownModel],
})

/** OpenAI's model list. */
export const modelRoutes = (deps: { readonly keys: KeyService; readonly store: Store }) => {
  const show = async (name: string) => {
    const record = await deps.store.getModel(name)
    return record === undefined
      ? errorResponse({ ...unknownModel, param: 'model' })
      : toApiModel(record)
  }
  return new Elysia({ name: 'models' })
    .use(requireScope(deps.keys))
    .get(
      '/v1/models',
      async () => ({
        object: 'list',
        data: (await deps.store.listModels()).map(toApiModel),
      }),
      { scope: 'models:read', detail: describeList },
    )
    .get('/v1/models/:id', ({ params }) => show(params.id), {
      scope: 'models:read',
      params: t.Object({ id: t.String() }),
      detail: describeOne,
    })
    .get('/v1/models/*', ({ params }) => show(params['*']), {
      scope: 'models:read',
      // The same route for names with bare slashes; a wildcard has no place in OpenAPI.
      detail: { hide: true },
    })
}

const toApiModel = ({ manifest, addedAt }: ModelRecord): typeof ApiModel.static => ({
  id: manifest.name,
  object: 'model',
  created: Math.floor(addedAt / 1000),
  owned_by: 'gpupool',
  kind: manifest.kind ?? 'chat',
})

import { Elysia, t } from 'elysia'
import { describeRoute, integer } from '../api/describe-route.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import { errorResponse, isFailure } from '../http-error.ts'
import type { ModelStay } from '../store/store.ts'
import type { AddModelDeps } from './add-model.ts'
import { readAdminBody } from './admin-body.ts'

/** A year; nobody means more, and an agent's timers take it in pieces. */
export const idleUnloadMsMax = 365 * 86_400_000

const unknownModel = {
  code: 'model_not_found',
  message: 'There is no model of this name.',
} as const

const StayView = t.Object({
  name: t.String(),
  pinned: t.Boolean(),
  idleUnloadMs: t.Nullable(integer()),
})

const describeStay = describeRoute({
  tag: 'Models',
  summary: 'Say how long a model stays in memory',
  description:
    'Agents unload the least recently used idle models when another one needs the room, and any that nobody has used for ' +
    'a while. A pinned model stays. What is left out is not changed; agents that hold the model take it over at once, ' +
    'those that are away when they are back.',
  scope: 'admin',
  body: {
    schema: t.Object({
      pinned: t.Optional(t.Boolean()),
      idleUnloadMs: t.Optional(
        t.Nullable(
          integer({
            minimum: 0,
            maximum: idleUnloadMsMax,
            description: 'Unused for so long, it goes; 0: never; null: the agents decide (30 min)',
          }),
        ),
      ),
    }),
    examples: { pin: { pinned: true }, anHour: { idleUnloadMs: 3_600_000 } },
  },
  success: {
    description: 'As it is now',
    schema: StayView,
    example: { name: 'llama-3.1-8b-q4', pinned: true, idleUnloadMs: null },
  },
  errors: [unknownModel],
})

const params = t.Object({
  name: t.String({ description: 'Name of the model; a slash in it is written %2F' }),
})

export const modelStayRoutes = (deps: AddModelDeps & { readonly keys: KeyService }) =>
  new Elysia({ name: 'admin-model-stay' }).use(requireScope(deps.keys)).post(
    '/admin/models/:name/stay',
    async ({ request, params: { name } }) => {
      const { store, poolAdmin } = deps
      const stay = await readAdminBody(request, ['pinned', 'idleUnloadMs'], (body, read) => {
        const pinned = read.boolean(body['pinned'], 'pinned')
        const idleUnloadMs = read.integer(body['idleUnloadMs'], 'idleUnloadMs', 0, idleUnloadMsMax)
        const changes: Partial<ModelStay> = {
          ...(pinned !== null && { pinned }),
          ...(body['idleUnloadMs'] !== undefined && { idleUnloadMs }),
        }
        if (Object.keys(changes).length === 0)
          read.fail('pinned', "Say what is to change: 'pinned' or 'idleUnloadMs'.")
        return changes
      })
      if (isFailure(stay)) return errorResponse(stay)
      if (!(await store.setModelStay(name, stay))) return errorResponse(unknownModel)
      await poolAdmin.modelStayChanged(name)
      const record = await store.getModel(name)
      if (record === undefined) return errorResponse(unknownModel)
      return { name, pinned: record.pinned, idleUnloadMs: record.idleUnloadMs }
    },
    { scope: 'admin', parse: 'none', params, detail: describeStay },
  )

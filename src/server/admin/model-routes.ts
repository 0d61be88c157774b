import { Elysia, t } from 'elysia'
import { formatExternalSource } from '../../models/external-model.ts'
import type { ModelSource } from '../../models/manifest.ts'
import { isAgentId } from '../../protocol/ids.ts'
import { limits } from '../../protocol/limits.ts'
import { describeRoute, integer } from '../api/describe-route.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import { errorResponse, isFailure } from '../http-error.ts'
import type { ModelRecord } from '../store/store.ts'
import {
  addModel,
  contextTokensDefault,
  parseModelInput,
  removeModel,
  slotsDefault,
  vectorContextTokensDefault,
  vectorSlotsDefault,
  type AddModelDeps,
} from './add-model.ts'
import { readAdminBody } from './admin-body.ts'

const ModelView = t.Object({
  name: t.String(),
  sha256: t.String(),
  sizeBytes: integer(),
  architecture: t.String(),
  kind: t.String({ description: 'What it is for: chat, embedding or rerank' }),
  embeddingDimensions: t.Nullable(
    integer({ description: 'Values of a vector; null: it makes none, or does not say' }),
  ),
  embeddingDimensionsMin: t.Nullable(
    integer({ description: 'Its vectors may be cut to so many; null: not at all' }),
  ),
  quantisation: t.Nullable(t.String()),
  contextTokensTrained: integer(),
  contextTokens: integer({ description: 'Tokens one slot gets' }),
  slots: integer({ description: 'Requests one agent serves at the same time' }),
  pinned: t.Boolean({ description: 'Stays in memory wherever it is loaded' }),
  idleUnloadMs: t.Nullable(
    integer({ description: 'Unused for so long, it goes; 0: never; null: the agents decide' }),
  ),
  source: t.String({ description: 'Path on the server, URL, or external:MODEL_ID' }),
  addedAt: t.String({ format: 'date-time' }),
})

const example: typeof ModelView.static = {
  name: 'llama-3.1-8b-q4',
  sha256: '3f5a…',
  sizeBytes: 4_920_734_272,
  architecture: 'llama',
  kind: 'chat',
  embeddingDimensions: null,
  embeddingDimensionsMin: null,
  quantisation: 'Q4_K_M',
  contextTokensTrained: 131_072,
  contextTokens: contextTokensDefault,
  slots: slotsDefault,
  pinned: false,
  idleUnloadMs: null,
  source: '/srv/models/llama-3.1-8b-q4.gguf',
  addedAt: '2026-12-01T12:00:00.000Z',
}

const unknownModel = {
  code: 'model_not_found',
  message: 'There is no model of this name.',
} as const
const unknownAgent = {
  code: 'not_found',
  message: 'There is no agent with this id.',
  param: 'agentId',
} as const

const describeList = describeRoute({
  tag: 'Models',
  summary: 'List the catalogue',
  scope: 'admin',
  success: {
    description: 'All models',
    schema: t.Object({ data: t.Array(ModelView) }),
    example: { data: [example] },
  },
  errors: [],
})

const describeAdd = describeRoute({
  tag: 'Models',
  summary: 'Add a model',
  description:
    'A path is read where it lies, on the server. A URL is downloaded into the data directory first, and this answers ' +
    'when that is done. `external:MODEL_ID` is served only by agents whose owners run an engine that lists it; ' +
    '`external:MODEL_ID#FINGERPRINT` only by those whose engine says exactly that of it. Adding the same file under the same name again answers 200 and changes nothing.',
  scope: 'admin',
  body: {
    schema: t.Object({
      name: t.String({ description: 'As clients will write it' }),
      source: t.String({
        description:
          'Absolute path of a GGUF file, an https URL, or external:MODEL_ID for what agents’ own engines serve',
      }),
      contextTokens: t.Optional(
        integer({
          minimum: 1,
          description: `Default: ${contextTokensDefault} (${vectorContextTokensDefault} for vectors), or less if trained for less`,
        }),
      ),
      slots: t.Optional(
        integer({
          minimum: 1,
          maximum: limits.slotsPerInstanceMax,
          description: `Default: ${slotsDefault} (${vectorSlotsDefault} for vectors)`,
        }),
      ),
      embeddingDimensionsMin: t.Optional(
        integer({
          minimum: 1,
          description:
            'For an embedding model that was trained for it (Matryoshka): its vectors may be cut to so many values. ' +
            'No file says this; its maker does.',
        }),
      ),
      pinned: t.Optional(t.Boolean({ description: 'Stays in memory wherever it is loaded' })),
    }),
    examples: {
      aFile: { name: 'llama-3.1-8b-q4', source: '/srv/models/llama-3.1-8b-q4.gguf' },
      aDownload: {
        name: 'qwen-2.5-7b',
        source: 'https://huggingface.co/Qwen/Qwen2.5-7B-Instruct-GGUF/resolve/main/model.gguf',
        contextTokens: 16_384,
        slots: 2,
      },
      anEngineOfAnAgent: { name: 'llama3.1', source: 'external:llama3.1:8b' },
    },
  },
  success: { status: 201, description: 'Added', schema: ModelView, example },
  errors: [
    { code: 'invalid_request', message: 'The file is not a GGUF file.' },
    { code: 'conflict', message: 'llama-3.1-8b-q4 is another file or has other settings.' },
    { code: 'queue_full', message: '2 models are being downloaded already.' },
  ],
})

const describeLoad = describeRoute({
  tag: 'Models',
  summary: 'Load a model',
  description:
    'On one agent, also one that is away, or on every active one that can hold it; it is loaded there again after ' +
    'they were away, until it is unloaded or they need the room. Without this a model is loaded when first asked for.',
  scope: 'admin',
  body: {
    schema: t.Object({ agentId: t.Optional(t.String({ format: 'uuid' })) }),
    examples: { everywhere: {}, onOne: { agentId: '0d3f1c52-8f0e-4b7a-9a55-2f9f4f6f1f11' } },
  },
  success: {
    description: 'On how many agents it is loaded or loading',
    schema: t.Object({
      agents: integer(),
      later: t.Optional(
        integer({ description: 'Away now; it is loaded there when they are back' }),
      ),
    }),
    example: { agents: 2 },
  },
  errors: [unknownModel, { code: 'no_capable_agent', message: 'No agent can hold the model.' }],
})

const describeUnload = describeRoute({
  tag: 'Models',
  summary: 'Unload a model everywhere',
  scope: 'admin',
  success: {
    description: 'On how many agents it was unloaded',
    schema: t.Object({ agents: integer() }),
    example: { agents: 2 },
  },
  errors: [unknownModel],
})

const describeRemove = describeRoute({
  tag: 'Models',
  summary: 'Remove a model',
  description:
    'Unloads it everywhere. A downloaded file is deleted; one that was added by its path stays.',
  scope: 'admin',
  success: {
    description: 'Removed',
    schema: t.Object({ name: t.String(), removed: t.Literal(true) }),
    example: { name: 'llama-3.1-8b-q4', removed: true },
  },
  errors: [unknownModel],
})

const params = t.Object({
  name: t.String({ description: 'Name of the model; a slash in it is written %2F' }),
})

export const adminModelRoutes = (deps: AddModelDeps & { readonly keys: KeyService }) => {
  const { store, poolAdmin } = deps
  return new Elysia({ name: 'admin-models' })
    .use(requireScope(deps.keys))
    .get('/admin/models', async () => ({ data: (await store.listModels()).map(toModelView) }), {
      scope: 'admin',
      detail: describeList,
    })
    .post(
      '/admin/models',
      async ({ request, server }) => {
        const known = [
          'name',
          'source',
          'contextTokens',
          'slots',
          'embeddingDimensionsMin',
          'pinned',
        ]
        const input = await readAdminBody(request, known, parseModelInput)
        if (isFailure(input)) return errorResponse(input)
        // Downloading and hashing take minutes, in which nothing is written to the connection.
        server?.timeout(request, 0)
        const added = await addModel(deps, input, request.signal)
        if (isFailure(added)) return errorResponse(added)
        return Response.json(toModelView(added.record), { status: added.isNew ? 201 : 200 })
      },
      { scope: 'admin', parse: 'none', detail: describeAdd },
    )
    .post(
      '/admin/models/:name/load',
      async ({ request, params: { name } }) => {
        const input = await readAdminBody(request, ['agentId'], (body, read) => ({
          agentId: read.string(body['agentId'], 'agentId'),
        }))
        if (isFailure(input)) return errorResponse(input)
        if ((await store.getModel(name)) === undefined) return errorResponse(unknownModel)
        const { agentId } = input
        if (agentId === null) return outcomeOf(await poolAdmin.loadModel(name, null))
        const agent = isAgentId(agentId) ? await poolAdmin.getAgent(agentId) : undefined
        if (agent === undefined) return errorResponse(unknownAgent)
        return outcomeOf(await poolAdmin.loadModel(name, agent.record.id))
      },
      { scope: 'admin', parse: 'none', params, detail: describeLoad },
    )
    .post(
      '/admin/models/:name/unload',
      async ({ params: { name } }) => {
        if ((await store.getModel(name)) === undefined) return errorResponse(unknownModel)
        return { agents: await poolAdmin.unloadModel(name) }
      },
      { scope: 'admin', parse: 'none', params, detail: describeUnload },
    )
    .delete(
      '/admin/models/:name',
      async ({ params: { name } }) =>
        (await removeModel(deps, name)) ? { name, removed: true } : errorResponse(unknownModel),
      { scope: 'admin', parse: 'none', params, detail: describeRemove },
    )
}

const outcomeOf = (outcome: Awaited<ReturnType<AddModelDeps['poolAdmin']['loadModel']>>) =>
  isFailure(outcome) ? errorResponse(outcome) : outcome

function formatSource(source: ModelSource): string {
  if (source.kind === 'external') return formatExternalSource(source)
  return source.kind === 'path' ? source.path : source.url
}

function toModelView({
  manifest,
  source,
  contextTokens,
  slots,
  pinned,
  idleUnloadMs,
  addedAt,
}: ModelRecord): typeof ModelView.static {
  const { name, sha256, sizeBytes, architecture, quantisation, contextTokensTrained } = manifest
  const { kind = 'chat', embedding } = manifest
  return {
    name,
    sha256,
    sizeBytes,
    architecture,
    kind,
    embeddingDimensions: embedding?.dimensions ?? null,
    embeddingDimensionsMin: embedding?.dimensionsMin ?? null,
    quantisation,
    contextTokensTrained,
    contextTokens,
    slots,
    pinned,
    idleUnloadMs,
    source: formatSource(source),
    addedAt: new Date(addedAt).toISOString(),
  }
}

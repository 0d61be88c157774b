import { createHash } from 'node:crypto'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { limits } from '../../protocol/limits.ts'
import type { Timers } from '../timers.ts'
import { engineJson, type EngineServer } from './engine-server.ts'
import type { ServedModel } from './served-model.ts'

/** Each of the questions to an engine. */
const questionTimeoutMs = 5_000

const Maybe = <Schema extends Parameters<typeof Type.Optional>[0]>(schema: Schema) =>
  Type.Optional(Type.Union([schema, Type.Null()]))
const Positive = Type.Integer({ minimum: 1 })

const ListedSchema = Type.Object({
  id: Type.String(),
  owned_by: Maybe(Type.String()),
  /** vLLM: tokens of one request, and where the weights are from. */
  max_model_len: Maybe(Positive),
  root: Maybe(Type.String()),
  /** llama-server: figures of the file. */
  meta: Type.Optional(Type.Unknown()),
})
type Listed = Static<typeof ListedSchema>
const listCheck = Compile(Type.Object({ data: Type.Array(ListedSchema) }))

/** llama-server. */
const propsCheck = Compile(
  Type.Object({
    total_slots: Maybe(Positive),
    model_path: Maybe(Type.String()),
    build_info: Maybe(Type.String()),
    default_generation_settings: Maybe(Type.Object({ n_ctx: Maybe(Positive) })),
  }),
)

/** Ollama. `remote_host`: it only passes requests on to another machine. */
const tagsCheck = Compile(
  Type.Object({
    models: Type.Array(
      Type.Object({
        name: Type.String(),
        digest: Maybe(Type.String()),
        remote_host: Maybe(Type.String()),
      }),
    ),
  }),
)

/** What is known of a listed model beside its id; null: it is not to be offered. */
type Details = {
  readonly engine: string
  /** Whatever tells this model from another one under the same id. */
  readonly identity: readonly unknown[]
  readonly contextTokens: number | null
  readonly slots: number | null
} | null

/**
 * Asks an engine what it serves, and by what else it tells of itself what kind it is: llama-server by `/props`, vLLM by its
 * list, Ollama by `/api/tags`; any other is `unknown`, which serves as well.
 * @param slots what the owner allows at a time; null: what the engine says, or 1
 * @returns the models, or why there are none
 */
export async function readModels(
  server: EngineServer,
  slots: number | null,
  timers: Timers,
): Promise<readonly ServedModel[] | { readonly problem: string }> {
  const ask = (url: string) => engineJson(server, url, timers, questionTimeoutMs)
  const answer = await ask(`${server.base}/models`)
  if ('problem' in answer) return answer
  if ('status' in answer) return { problem: `GET /models gives HTTP status ${answer.status}` }
  if (!listCheck.Check(answer.json)) return { problem: 'GET /models gives no list of models' }
  const listed = answer.json.data.filter(({ id }) => id !== '' && id.length <= 256)
  const detailsOf = await readDetails(server, listed, ask)
  return listed.slice(0, limits.externalModelsPerAgentMax).flatMap(model => {
    const details = detailsOf(model)
    if (details === null) return []
    const { engine, identity, contextTokens } = details
    return {
      modelId: model.id,
      engine,
      fingerprint: fingerprintOf([engine, model.id, ...identity]),
      contextTokens,
      server,
      slots: Math.min(slots ?? details.slots ?? 1, details.slots ?? limits.slotsPerInstanceMax),
    }
  })
}

async function readDetails(
  server: EngineServer,
  listed: readonly Listed[],
  ask: (url: string) => ReturnType<typeof engineJson>,
): Promise<(model: Listed) => Details> {
  const root = server.base.replace(/\/v1$/, '')
  const owners = new Set(listed.map(({ owned_by }) => owned_by))
  if (owners.has('vllm'))
    return ({ root: weights, max_model_len: contextTokens = null }) => ({
      engine: 'vllm',
      identity: [weights ?? null],
      contextTokens,
      slots: null,
    })
  if (owners.has('llamacpp')) {
    const answer = await ask(`${root}/props`)
    const props = 'json' in answer && propsCheck.Check(answer.json) ? answer.json : {}
    const { model_path: path = null, build_info: build = null, total_slots = null } = props
    const contextTokens = props.default_generation_settings?.n_ctx ?? null
    return ({ meta }) => ({
      engine: 'llama-server',
      identity: [path, build, meta ?? null],
      contextTokens,
      slots: total_slots === null ? null : Math.min(total_slots, limits.slotsPerInstanceMax),
    })
  }
  const answer = await ask(`${root}/api/tags`)
  if (!('json' in answer) || !tagsCheck.Check(answer.json))
    return () => ({ engine: 'unknown', identity: [], contextTokens: null, slots: null })
  const tags = new Map(answer.json.models.map(tag => [tag.name, tag]))
  return ({ id }) => {
    const tag = tags.get(id)
    // The pool's prompts are not to leave this machine.
    if (tag?.remote_host) return null
    return {
      engine: 'ollama',
      identity: [tag?.digest ?? null],
      contextTokens: null,
      slots: null,
    }
  }
}

const fingerprintOf = (facts: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(facts)).digest('hex')

import { Type, type Static, type TSchema } from 'typebox'
import { Value } from 'typebox/value'

/** `status` is null when the server gave no answer at all. */
export type ApiReply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: number | null; readonly message: string }

const ErrorBody = Type.Object({ error: Type.Object({ message: Type.String() }) })
const JoinLinkBody = Type.Object({ link: Type.String() })
const AgentsBody = Type.Object({
  data: Type.Array(
    Type.Object({
      instances: Type.Array(
        Type.Object({
          model: Type.String(),
          status: Type.Object({
            state: Type.String(),
            error: Type.Optional(Type.Object({ message: Type.String() })),
          }),
        }),
      ),
    }),
  ),
})

/** The few routes of the server that `npm start` needs, over HTTP like any other client's. */
export type PoolApi = ReturnType<typeof createPoolApi>

export function createPoolApi(apiUrl: string, key: string, signal: AbortSignal) {
  const send = async (method: string, path: string, body?: object): Promise<ApiReply<Response>> => {
    try {
      const response = await fetch(`${apiUrl}${path}`, {
        method,
        signal,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      if (response.ok) return { ok: true, value: response }
      const text = await response.text()
      return { ok: false, status: response.status, message: errorMessage(text) }
    } catch (error) {
      if (!(error instanceof Error)) throw error
      return { ok: false, status: null, message: error.message }
    }
  }
  const ask = async <S extends TSchema>(
    schema: S,
    ...request: Parameters<typeof send>
  ): Promise<ApiReply<Static<S>>> => {
    const reply = await send(...request)
    if (!reply.ok) return reply
    const body: unknown = await reply.value.json()
    return Value.Check(schema, body)
      ? { ok: true, value: body }
      : { ok: false, status: reply.value.status, message: 'an answer of another form than agreed' }
  }
  return {
    createJoinLink: (options: { uses: number; ttlMs: number; autoApprove: boolean }) =>
      ask(JoinLinkBody, 'POST', '/admin/join-links', options),
    addModel: (name: string, source: string) =>
      ask(Type.Unknown(), 'POST', '/admin/models', { name, source }),
    loadModel: (name: string) =>
      ask(Type.Unknown(), 'POST', `/admin/models/${encodeURIComponent(name)}/load`, {}),
    listAgents: () => ask(AgentsBody, 'GET', '/admin/agents'),
    /** The body of a good answer is a stream of server-sent events. */
    streamChat: (request: object) =>
      send('POST', '/v1/chat/completions', { ...request, stream: true }),
  }
}

/** The message in OpenAI's error envelope, or the text as it is, cut short. */
export function errorMessage(text: string): string {
  try {
    const body: unknown = JSON.parse(text)
    if (Value.Check(ErrorBody, body)) return body.error.message
  } catch {
    // Not JSON: a proxy's page, say; its beginning is what there is to show.
  }
  return text.slice(0, 500)
}

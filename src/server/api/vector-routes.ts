import { Elysia } from 'elysia'
import type { Clock } from '../../clock.ts'
import { newJobId, type JobId } from '../../protocol/ids.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import { errorResponse, isFailure, withoutInnerDetails, type ApiFailure } from '../http-error.ts'
import type { EmbedEvent, EmbedRequest, Inference } from '../inference.ts'
import { embeddingsDescription } from './embeddings-description.ts'
import { readJson } from './read-json.ts'
import type { RequestLog } from './request-log.ts'
import { rerankDescription } from './rerank-description.ts'
import { embeddingsBody, rerankBody } from './vector-answer.ts'
import { parseEmbeddingsRequest, parseRerankRequest, vectorBodyBytesMax } from './vector-request.ts'
import { runVectors } from './vector-run.ts'

type Finished = Extract<EmbedEvent, { type: 'finished' }>
type Asked = Pick<EmbedRequest, 'model' | 'embed' | 'dimensions'>

type VectorRoutesDeps = {
  readonly keys: KeyService
  readonly inference: Inference
  readonly clock: Clock
  readonly requestLog: RequestLog
}

/** What a handler of Elysia gets, as far as it is used here. */
type Call = {
  readonly request: Request
  readonly server: { timeout(request: Request, seconds: number): void } | null
  readonly caller: { readonly keyId: string }
}

/** Requests that are answered with vectors: embeddings, and the scores of documents. */
export const vectorRoutes = (deps: VectorRoutesDeps) =>
  new Elysia({ name: 'vectors' })
    .use(requireScope(deps.keys))
    .post(
      '/v1/embeddings',
      ({ request, server, caller }) =>
        answer(deps, { request, server, caller }, 'input', body => {
          const parsed = parseEmbeddingsRequest(body)
          if (isFailure(parsed)) return parsed
          return {
            ...parsed,
            respond: (finished, headers) =>
              new Response(embeddingsBody(parsed, finished), {
                headers: { 'content-type': 'application/json', ...headers },
              }),
          }
        }),
      { scope: 'infer', parse: 'none', detail: embeddingsDescription },
    )
    .post(
      '/v1/rerank',
      ({ request, server, caller }) =>
        answer(deps, { request, server, caller }, 'documents', body => {
          const parsed = parseRerankRequest(body)
          if (isFailure(parsed)) return parsed
          return {
            ...parsed,
            dimensions: null,
            respond: (finished, headers) =>
              Response.json(rerankBody(parsed, finished), { headers }),
          }
        }),
      { scope: 'infer', parse: 'none', detail: rerankDescription },
    )

/** @param inputParam the field that an input which turns out to be wrong was in */
async function answer(
  { inference, clock, requestLog }: VectorRoutesDeps,
  { request, server, caller }: Call,
  inputParam: string,
  parse: (
    body: unknown,
  ) =>
    | (Asked & { respond: (finished: Finished, headers: Record<string, string>) => Response })
    | ApiFailure,
): Promise<Response> {
  const jobId = newJobId()
  const headers = { 'x-request-id': jobId }
  const receivedAt = clock.now()
  const body = await readJson(request, vectorBodyBytesMax)
  const parsed = isFailure(body) ? body : parse(body.json)
  if (isFailure(parsed)) return errorResponse(parsed, headers)
  const { model, embed, dimensions, respond } = parsed
  requestLog.loggedAtItsEnd(request)
  // Without this Bun drops a connection on which nothing was written for a while: a load, a full queue.
  server?.timeout(request, 0)
  const job = { jobId, keyId: caller.keyId, model, embed, dimensions, receivedAt }
  const ended = await runVectors(inference, job, request.signal)
  if (ended === null) return gone(jobId)
  if (ended.type === 'finished') return respond(ended, headers)
  return errorResponse(withParam(withoutInnerDetails(ended.error), inputParam), headers)
}

const gone = (jobId: JobId): Response =>
  errorResponse(
    { code: 'cancelled', message: 'The client closed the request.' },
    { 'x-request-id': jobId },
  )

/** Whoever computes an input finds out that it is too long or holds unknown tokens. */
const withParam = (failure: ApiFailure, param: string): ApiFailure =>
  failure.code === 'prompt_too_long' || failure.code === 'invalid_request'
    ? { ...failure, param }
    : failure

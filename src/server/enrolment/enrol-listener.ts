import { timingSafeEqual } from 'node:crypto'
import type { Server } from 'bun'
import { Compile } from 'typebox/compile'
import {
  EnrolRequestSchema,
  type EnrolRequest,
  type EnrolResponse,
} from '../../protocol/enrolment.ts'
import type { Failure } from '../../protocol/errors.ts'
import { isAgentId } from '../../protocol/ids.ts'
import { formatJoinLink, isJoinToken } from '../../protocol/join-link.ts'
import { sha256 } from '../auth/credential.ts'
import { answerDownload, answerDownloadList } from '../download/answer-download.ts'
import type { DownloadFiles } from '../download/download-files.ts'
import { failureResponse as failure, serveFile } from '../download/serve-file.ts'
import { errorFields, type Log } from '../log.ts'
import type { Catalogue } from '../pool/catalogue.ts'
import type { Store } from '../store/store.ts'
import type { TlsIdentity } from '../tls/authority.ts'
import { catalogueAnswer } from './catalogue-answer.ts'
import { joinPage, joinPageHeaders, joinText } from './join-page.ts'

/** An inventory of 64 devices is below this. */
const requestBytesMax = 256 * 1024

export type EnrolListenerDeps = {
  readonly log: Log
  readonly store: Store
  readonly catalogue: Catalogue
  readonly tls: TlsIdentity
  readonly downloads: DownloadFiles
  /** What join links name. */
  readonly origin: () => string
  readonly enrol: (request: EnrolRequest) => Promise<EnrolResponse | Failure>
}

const checkRequest = Compile(EnrolRequestSchema)

/**
 * The listener for machines that are not agents yet: `GET /ca` (the certificate that join links carry the fingerprint
 * of), `POST /enrol`, `GET /join/TOKEN` (what to paste), `GET /download/…` (the agent itself); and for agents of the pool
 * `GET /models/SHA256` (a file) and `GET /catalogue` (what there is, for `probe` and `doctor`).
 * @throws an Error with code EADDRINUSE when the port is taken
 */
export function startEnrolListener(
  deps: EnrolListenerDeps,
  host: string,
  port: number,
): Server<undefined> {
  const { tls, log } = deps
  return Bun.serve({
    hostname: host,
    port,
    tls: { cert: tls.certPem, key: tls.keyPem },
    maxRequestBodySize: requestBytesMax,
    routes: {
      '/ca': {
        GET: () =>
          new Response(tls.caPem, { headers: { 'content-type': 'application/x-pem-file' } }),
      },
      '/enrol': { POST: request => answerEnrol(deps, request) },
      '/join/:token': { GET: request => answerJoin(deps, request, request.params.token) },
      '/download': { GET: () => answerDownloadList(deps.downloads) },
      '/download/': { GET: () => answerDownloadList(deps.downloads) },
      '/download/:name': {
        GET: (request, server) => {
          server.timeout(request, 0)
          return answerDownload(deps.downloads, request, request.params.name)
        },
      },
      '/catalogue': { GET: request => answerCatalogue(deps, request) },
      '/models/:sha256': {
        GET: (request, server) => {
          // A large file takes longer than the default 10 s of silence between two reads of a slow disk or line.
          server.timeout(request, 0)
          return answerModel(deps, request, request.params.sha256)
        },
      },
    },
    fetch: () => failure({ code: 'not_found', message: 'there is nothing here' }),
    error: error => {
      log.error('enrolment failed', errorFields(error))
      return failure({
        code: 'internal',
        message: 'something went wrong; the server log says what',
      })
    },
  })
}

async function answerEnrol(deps: EnrolListenerDeps, request: Request): Promise<Response> {
  let body: unknown
  try {
    body = await request.json()
  } catch {
    return failure({ code: 'invalid_request', message: 'the body must be JSON' })
  }
  if (!checkRequest.Check(body)) {
    const [first] = checkRequest.Errors(body)
    const where = first === undefined ? '' : `: ${first.instancePath} ${first.message}`
    return failure({ code: 'invalid_request', message: `not an enrolment request${where}` })
  }
  const outcome = await deps.enrol(body)
  if ('code' in outcome) return failure(outcome)
  const { agentId, notes = [] } = outcome
  deps.log.info('agent enrolled', { agentId, agentName: body.name })
  for (const reason of notes)
    deps.log.warn('agent enrolled with a problem', { agentId, agentName: body.name, reason })
  return Response.json(outcome, { status: 201 })
}

/** Browsers get a page; whoever fetches the link by hand gets a few lines of text. */
async function answerJoin(
  { downloads, origin, tls }: EnrolListenerDeps,
  request: Request,
  token: string,
): Promise<Response> {
  if (!isJoinToken(token))
    return failure({ code: 'not_found', message: 'this join link is damaged; copy it whole' })
  const { caFingerprint } = tls
  const link = formatJoinLink({ origin: origin(), token, caFingerprint })
  if (!(request.headers.get('accept') ?? '').includes('text/html'))
    return new Response(joinText(link))
  const page = joinPage({ link, caFingerprint, files: await downloads.list() })
  return new Response(page, { headers: { ...joinPageHeaders } })
}

/** Serves a catalogue file to an enrolled agent. Bun answers range requests on files itself. */
async function answerModel(
  deps: EnrolListenerDeps,
  request: Request,
  sha256Hex: string,
): Promise<Response> {
  if (!(await isEnrolledAgent(deps.store, request)))
    return failure({ code: 'unauthorized', message: 'only agents of this pool may fetch models' })
  const path = deps.catalogue.pathOf(sha256Hex)
  if (path === undefined)
    return failure({ code: 'not_found', message: 'the catalogue has no such file' })
  return serveFile(request, { path, headers: { etag: `"${sha256Hex}"` } })
}

async function answerCatalogue(deps: EnrolListenerDeps, request: Request): Promise<Response> {
  if (!(await isEnrolledAgent(deps.store, request)))
    return failure({ code: 'unauthorized', message: 'only approved agents of this pool may ask' })
  return Response.json(catalogueAnswer(deps.catalogue.list()))
}

async function isEnrolledAgent(store: Store, request: Request): Promise<boolean> {
  const agentId = request.headers.get('x-gpupool-agent') ?? ''
  const key = /^Bearer (.+)$/.exec(request.headers.get('authorization') ?? '')?.[1]
  if (key === undefined || !isAgentId(agentId)) return false
  const agent = await store.getAgent(agentId)
  if (agent?.adminState !== 'active' && agent?.adminState !== 'draining') return false
  return timingSafeEqual(agent.apiKeyHash, sha256(key))
}

import { X509Certificate } from 'node:crypto'
import { Compile } from 'typebox/compile'
import {
  EnrolResponseSchema,
  type EnrolRequest,
  type EnrolResponse,
} from '../protocol/enrolment.ts'
import { parseJoinLink, type JoinLink } from '../protocol/join-link.ts'
import { agentLimits } from './agent-limits.ts'
import { readBounded } from './pool-request.ts'

export type Enrolled = { readonly response: EnrolResponse; readonly caPem: string }

/** What went wrong, in words for the person who typed `join`. */
export type EnrolProblem = { readonly problem: string }

const responseCheck = Compile(EnrolResponseSchema)

/**
 * Joins a pool: gets the pool's certificate authority, checks it against the link's fingerprint, and only then hands
 * the token over, on a connection that this authority vouches for.
 */
export async function enrol(
  link: JoinLink,
  request: Omit<EnrolRequest, 'token'>,
): Promise<Enrolled | EnrolProblem> {
  const caPem = await fetchAuthority(link)
  if (typeof caPem !== 'string') return caPem
  const answer = await exchange(`${link.origin}/enrol`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token: link.token, ...request }),
    tls: { ca: caPem },
  })
  if ('problem' in answer) return answer
  if (answer.status >= 400) return { problem: explainRefusal(answer) }
  const response = parseJson(answer.text)
  if (!responseCheck.Check(response))
    return {
      problem: 'the server answered something else than an enrolment; is this a gpupool server?',
    }
  return { response, caPem }
}

/** @returns the link's parts or what is wrong with it */
export function readJoinLink(text: string): JoinLink | EnrolProblem {
  const link = parseJoinLink(text)
  return typeof link === 'string' ? { problem: link } : link
}

/** Base64url SHA-256 of a PEM certificate's DER; undefined when it is no certificate. */
export function fingerprintOf(caPem: string): string | undefined {
  try {
    const { raw } = new X509Certificate(caPem)
    return new Bun.CryptoHasher('sha256').update(raw).digest('base64url')
  } catch {
    return undefined
  }
}

async function fetchAuthority(link: JoinLink): Promise<string | EnrolProblem> {
  // Nobody vouches for this connection yet: the fingerprint in the link does, for what comes over it.
  const answer = await exchange(`${link.origin}/ca`, { tls: { rejectUnauthorized: false } })
  if ('problem' in answer) return answer
  const fingerprint = answer.status === 200 ? fingerprintOf(answer.text) : undefined
  if (fingerprint === undefined)
    return {
      problem: `${link.origin} does not answer like a gpupool server (status ${answer.status})`,
    }
  if (fingerprint === link.caFingerprint) return answer.text
  return {
    problem:
      `WARNING: the server at ${link.origin} is not the one that made this join link.\n` +
      `  the link expects  ${link.caFingerprint}\n  the server has    ${fingerprint}\n` +
      'Somebody may be in between, or the server was set up anew. Nothing was sent to it. Ask the operator for a new link.',
  }
}

type Answer = { readonly status: number; readonly text: string }

async function exchange(url: string, init: BunFetchRequestInit): Promise<Answer | EnrolProblem> {
  try {
    const response = await fetch(url, {
      ...init,
      redirect: 'error',
      signal: AbortSignal.timeout(agentLimits.enrolmentTimeoutMs),
    })
    return {
      status: response.status,
      text: await readBounded(response, agentLimits.enrolmentAnswerBytesMax),
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { problem: `the server at ${new URL(url).origin} cannot be reached: ${reason}` }
  }
}

function explainRefusal({ status, text }: Answer): string {
  const body = parseJson(text)
  const error: unknown =
    typeof body === 'object' && body !== null ? Reflect.get(body, 'error') : null
  const message: unknown =
    typeof error === 'object' && error !== null ? Reflect.get(error, 'message') : null
  const said = typeof message === 'string' ? message.slice(0, 500) : `status ${status}`
  const advice =
    status === 401 || status === 403 || status === 404
      ? '\nJoin links expire and serve a limited number of machines; the operator makes a new one with "admin join-link".'
      : ''
  return `the server did not accept this machine: ${said}${advice}`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

import { randomBytes } from 'node:crypto'
import { Elysia } from 'elysia'
import type { Clock } from '../../clock.ts'
import { newJobId } from '../../protocol/ids.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import { errorResponse, isFailure } from '../http-error.ts'
import type { Inference } from '../inference.ts'
import { answerChat } from './chat-answer.ts'
import { chatDescription } from './chat-description.ts'
import { chatBodyBytesMax, parseChatRequest } from './chat-request.ts'
import { streamChat } from './chat-stream.ts'
import { choiceRequests } from './choice-requests.ts'
import { readJson } from './read-json.ts'
import type { RequestLog } from './request-log.ts'
import { serviceTier } from './service-tier.ts'
import { createTenantTag } from './tenant-tag.ts'
import type { StartTimer } from './timer.ts'

/**
 * Idle time of a streaming connection. A stream that is read has a write every ten seconds, so only a client that
 * takes nothing for this long is cut off.
 */
const streamIdleTimeoutS = 60

export const chatRoutes = (deps: {
  readonly keys: KeyService
  readonly inference: Inference
  readonly clock: Clock
  readonly startTimer: StartTimer
  readonly requestLog: RequestLog
}) => {
  const tenantTag = createTenantTag(randomBytes(32))
  return new Elysia({ name: 'chat' }).use(requireScope(deps.keys)).post(
    '/v1/chat/completions',
    async ({ request, server, caller }) => {
      const jobId = newJobId()
      const receivedAt = deps.clock.now()
      const body = await readJson(request, chatBodyBytesMax)
      const parsed = isFailure(body) ? body : parseChatRequest(body.json, receivedAt, randomSeed)
      if (isFailure(parsed)) return errorResponse(parsed, { 'x-request-id': jobId })
      const { model, stream, includeUsage, choices } = parsed
      const { priority, served } = serviceTier(parsed.tier, caller.scopes)
      const chat = { ...parsed.chat, tenant: tenantTag(caller.keyId) }
      deps.requestLog.loggedAtItsEnd(request)
      // Without this Bun drops a connection on which nothing was written for a while: a long prompt, a full queue.
      server?.timeout(request, stream ? streamIdleTimeoutS : 0)
      const job = { jobId, keyId: caller.keyId, priority, model, chat, receivedAt }
      const jobs = choiceRequests(job, choices)
      const { signal } = request
      return stream
        ? await streamChat(deps, jobs, { includeUsage, tier: served, signal })
        : await answerChat(deps, jobs, { tier: served, signal })
    },
    { scope: 'infer', parse: 'none', detail: chatDescription },
  )
}

const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0

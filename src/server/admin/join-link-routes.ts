import { Elysia, t } from 'elysia'
import type { Clock } from '../../clock.ts'
import { describeRoute, integer } from '../api/describe-route.ts'
import type { KeyService } from '../auth/key-service.ts'
import { requireScope } from '../auth/require-scope.ts'
import type { DownloadFiles } from '../download/download-files.ts'
import { installLines } from '../enrolment/install-lines.ts'
import { errorResponse, isFailure } from '../http-error.ts'
import type { PoolAdmin } from '../pool-admin.ts'
import { readAdminBody } from './admin-body.ts'

const defaults = { uses: 1, ttlMs: 15 * 60_000, autoApprove: false } as const
const usesMax = 10_000
const ttlMinMs = 1_000
const ttlMaxMs = 30 * 86_400_000

const Line = t.Nullable(t.String({ description: 'Null: no executable was built for it' }))

const describe = describeRoute({
  tag: 'Agents',
  summary: 'Make a join link',
  description:
    'A contributor gives it to `gpupool-agent join`. Anybody who has it can enrol a machine.',
  scope: 'admin',
  body: {
    schema: t.Object({
      uses: t.Optional(integer({ minimum: 1, maximum: usesMax, default: defaults.uses })),
      ttlMs: t.Optional(integer({ minimum: ttlMinMs, maximum: ttlMaxMs, default: defaults.ttlMs })),
      autoApprove: t.Optional(
        t.Boolean({ default: defaults.autoApprove, description: 'Agents get work at once' }),
      ),
    }),
    examples: { oneMachine: {}, aClassroom: { uses: 30, ttlMs: 3_600_000, autoApprove: true } },
  },
  success: {
    description: 'The link, shown once',
    schema: t.Object({
      link: t.String(),
      expiresAt: t.String({ format: 'date-time' }),
      install: t.Object(
        { linux: Line, macos: Line, windows: Line },
        { description: 'One line to paste on a machine without an agent' },
      ),
    }),
    example: {
      link: 'https://pool.example.org:8444/join/gpe_…#ca=…',
      expiresAt: '2026-12-01T12:15:00.000Z',
      install: { linux: 'curl -fko gpupool-agent …', macos: null, windows: null },
    },
  },
  errors: [
    { code: 'invalid_request', message: "Invalid 'uses': expected a value from 1 to 10000." },
  ],
})

export const joinLinkRoutes = (deps: {
  readonly keys: KeyService
  readonly poolAdmin: PoolAdmin
  readonly clock: Clock
  readonly downloads: DownloadFiles
}) =>
  new Elysia({ name: 'admin-join-links' }).use(requireScope(deps.keys)).post(
    '/admin/join-links',
    async ({ request }) => {
      const options = await readAdminBody(request, Object.keys(defaults), (body, read) => ({
        uses: read.integer(body['uses'], 'uses', 1, usesMax) ?? defaults.uses,
        ttlMs: read.integer(body['ttlMs'], 'ttlMs', ttlMinMs, ttlMaxMs) ?? defaults.ttlMs,
        autoApprove: read.boolean(body['autoApprove'], 'autoApprove') ?? defaults.autoApprove,
      }))
      if (isFailure(options)) return errorResponse(options)
      const expiresAt = new Date(deps.clock.now() + options.ttlMs).toISOString()
      const link = await deps.poolAdmin.createJoinLink(options)
      return { link, expiresAt, install: installLines(link, await deps.downloads.list()) }
    },
    { scope: 'admin', parse: 'none', detail: describe },
  )

import { t, type DocumentDecoration, type TSchema } from 'elysia'
import type { ErrorCode } from '../../protocol/errors.ts'
import { errorBody, errorStatus } from '../http-error.ts'
import type { Scope } from '../store/store.ts'

/** Elysia's own `t.Integer` also admits text, for query strings; described as such it would mislead. */
export const integer = (
  options: { minimum?: number; maximum?: number; default?: number; description?: string } = {},
) => t.Unsafe<number>({ type: 'integer', ...options })

/** What a reader of `/swagger` is told about a route. */
export type RouteDescription = {
  readonly tag: 'Inference' | 'Models' | 'Keys' | 'Agents' | 'Usage' | 'Events' | 'Server'
  readonly summary: string
  readonly description?: string
  /** Null: no key is needed. */
  readonly scope: Scope | null
  readonly body?: { readonly schema: TSchema; readonly examples: Readonly<Record<string, unknown>> }
  readonly success: {
    readonly status?: number
    readonly description: string
    readonly schema: TSchema
    readonly example: unknown
    /** Besides JSON, for example `text/event-stream`. */
    readonly otherContent?: Readonly<Record<string, string>>
  }
  readonly errors: readonly { readonly code: ErrorCode; readonly message: string }[]
}

/** What every route that needs the pool can answer. */
export const poolErrors: RouteDescription['errors'] = [
  { code: 'model_not_found', message: 'There is no model of this name.' },
  { code: 'payload_too_large', message: 'The body of the request is over the limit.' },
  { code: 'queue_full', message: 'Too many requests wait already. See Retry-After.' },
  { code: 'no_capable_agent', message: 'No connected agent can hold this model.' },
  { code: 'worker_died', message: 'The process that ran this request died. Try again.' },
  { code: 'timeout', message: 'No machine answered in time.' },
]

const errorSchema = t.Object({
  error: t.Object({
    message: t.String({ description: 'For people' }),
    type: t.String({ description: "OpenAI's kind of error" }),
    param: t.Nullable(t.String({ description: 'The field that is wrong' })),
    code: t.String({ description: 'For programs' }),
  }),
})

const noKey = { code: 'unauthorized', message: 'No API key was given.' } as const
const wrongScope = (scope: Scope) =>
  ({ code: 'forbidden', message: `This key lacks the scope '${scope}'.` }) as const

/**
 * The OpenAPI operation of a route. Bodies are described here and not with Elysia's `body` option, because that would
 * parse and validate them before the key is checked.
 */
export function describeRoute(route: RouteDescription): DocumentDecoration {
  const { scope, body, success } = route
  const { schema, example, otherContent = {} } = success
  const others = Object.entries(otherContent).map(([type, text]) => [
    type,
    { schema: { type: 'string' as const }, example: text },
  ])
  const needs = scope === null ? 'Needs no key.' : `Needs a key with the scope \`${scope}\`.`
  const errors = scope === null ? route.errors : [noKey, wrongScope(scope), ...route.errors]
  return {
    tags: [route.tag],
    summary: route.summary,
    description: [route.description, needs].filter(Boolean).join('\n\n'),
    ...(scope === null ? {} : { security: [{ apiKey: [] }] }),
    ...(body === undefined ? {} : { requestBody: describeBody(body) }),
    responses: {
      [success.status ?? 200]: {
        description: success.description,
        content: { 'application/json': { schema, example }, ...Object.fromEntries(others) },
      },
      ...describeErrors(errors),
    },
  }
}

const describeBody = ({ schema, examples }: NonNullable<RouteDescription['body']>) => ({
  required: true,
  content: {
    'application/json': {
      schema,
      examples: Object.fromEntries(
        Object.entries(examples).map(([name, value]) => [name, { value }]),
      ),
    },
  },
})

function describeErrors(errors: RouteDescription['errors']) {
  const byStatus = Map.groupBy(errors, error => errorStatus(error.code))
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group
          .map(({ code }) => errorBody({ code, message: '' }).error.code)
          .join(', '),
        content: {
          'application/json': {
            schema: errorSchema,
            examples: Object.fromEntries(
              group.map(failure => [failure.code, { value: errorBody(failure) }]),
            ),
          },
        },
      },
    ]),
  )
}

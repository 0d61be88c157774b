import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { testApi, type TestApi } from '../../../test/support/api.ts'
import { emptyDatabase } from '../../../test/support/empty-database.ts'
import { openTestPglite, type TestStore } from '../../../test/support/pglite.ts'
import { model } from '../../../test/support/store-fixtures.ts'

let database: TestStore
let api: TestApi

beforeAll(async () => {
  database = await openTestPglite()
}, 60_000)
afterAll(() => database.store.close())
beforeEach(async () => {
  await emptyDatabase(database.db)
  api = await testApi(database.store)
})
afterEach(() => api.close())

type Media = {
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, { readonly value: object }>>
}
type Body = { readonly content: Readonly<Record<string, Media>> }
type Operation = {
  readonly summary?: string
  readonly security?: unknown
  readonly requestBody?: Body
  readonly responses: Readonly<Record<string, Body>>
}
type Spec = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }

const open = ['/healthz', '/readyz', '/metrics', '/download', '/download/:name']

describe('/swagger', () => {
  const spec = async () => (await (await api.call('/swagger/json')).json()) as Spec

  test('describes every route, each with a summary, its key, and examples of every body', async () => {
    const { paths } = await spec()
    for (const { method, path, hooks } of api.app.routes) {
      if (hooks.detail?.hide === true || path.startsWith('/swagger')) continue
      const operation = paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
      if (operation === undefined) throw new Error(`${method} ${path} is not described`)
      expect(operation.summary).toBeString()
      expect(operation.security === undefined).toBe(open.includes(path))
      const { requestBody, responses } = operation
      const bodies = [...(requestBody ? [requestBody] : []), ...Object.values(responses)]
      for (const { content } of bodies)
        for (const media of Object.values(content))
          expect(media.example ?? media.examples).toBeDefined()
    }
  })

  test('every example of a request is one that the route accepts', async () => {
    await database.store.addModel(model('llama-3.1-8b-q4'))
    api.inference.onSubmit = job => queueMicrotask(() => job.finish())
    api.inference.onEmbed = job => queueMicrotask(() => job.finish([[1], [1], [1]]))
    const { paths } = await spec()
    let sent = 0
    for (const [path, methods] of Object.entries(paths)) {
      const media = methods['post']?.requestBody?.content['application/json']
      // Adding a model reads a file, and loading one on an agent needs that agent.
      if (media === undefined || path === '/admin/models') continue
      for (const { value } of Object.values(media.examples ?? {})) {
        if ('agentId' in value) continue
        const response = await api.post(path.replace('{name}', 'llama-3.1-8b-q4'), value)
        await response.text()
        expect(response.ok).toBe(true)
        sent++
      }
    }
    expect(sent).toBeGreaterThanOrEqual(12)
  })

  test('is a page that loads nothing from elsewhere', async () => {
    const page = await (await api.call('/swagger')).text()
    const scripts = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(match => match[1]!)
    expect(scripts).toEqual(['/swagger/viewer.js'])
    const viewer = await api.call('/swagger/viewer.js')
    expect(viewer.headers.get('content-type')).toStartWith('text/javascript')
    expect(await viewer.text()).not.toContain('https://')
  })
})

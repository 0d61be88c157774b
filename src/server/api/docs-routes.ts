import { swagger } from '@elysiajs/swagger'
import { Elysia } from 'elysia'

/** The page's script, which this server serves itself: the plugin's default loads one from a CDN. */
const viewerPath = '/swagger/viewer.js'
const viewerFile = new URL('./docs-viewer.js', import.meta.url)

const tags = [
  { name: 'Inference', description: 'For clients: what the OpenAI SDKs call' },
  { name: 'Models', description: 'The catalogue' },
  { name: 'Agents', description: 'Contributed machines' },
  { name: 'Keys', description: 'Who may call the API' },
  { name: 'Usage', description: 'What was consumed' },
  { name: 'Server', description: 'Health and metrics' },
]

/** `/swagger`, a page that works offline, and `/swagger/json`, the OpenAPI document behind it. */
export const docsRoutes = () =>
  new Elysia({ name: 'docs' })
    .get(
      viewerPath,
      () =>
        new Response(Bun.file(viewerFile), {
          headers: { 'content-type': 'text/javascript; charset=utf-8' },
        }),
      { detail: { hide: true } },
    )
    .use(
      swagger({
        provider: 'scalar',
        scalarCDN: viewerPath,
        scalarConfig: { customCss: 'body { font: 16px/1.5 system-ui, sans-serif }' },
        excludeStaticFile: false,
        documentation: {
          info: {
            title: 'gpupool',
            version: '0.1.0',
            description: 'An OpenAI-compatible API over a pool of contributed GPUs.',
          },
          tags,
          components: {
            securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', bearerFormat: 'gpk_…' } },
          },
        },
      }),
    )

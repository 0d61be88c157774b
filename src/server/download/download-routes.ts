import { Elysia, t } from 'elysia'
import { describeRoute, integer } from '../api/describe-route.ts'
import { answerDownload, answerDownloadList } from './answer-download.ts'
import type { DownloadFiles } from './download-files.ts'

const example = {
  name: 'gpupool-agent-linux-x64',
  target: 'linux-x64',
  kind: 'agent',
  sizeBytes: 125_000_000,
  sha256: '6f1b…',
}

const describeList = describeRoute({
  tag: 'Agents',
  summary: 'List the files for contributors',
  description: 'Executables of the agent and libraries that agents fetch, with size and SHA-256.',
  scope: null,
  success: {
    description: 'By name; empty when none were built',
    schema: t.Object({
      files: t.Array(
        t.Object({
          name: t.String(),
          target: t.String(),
          kind: t.Union([t.Literal('agent'), t.Literal('cuda')]),
          sizeBytes: integer(),
          sha256: t.String({ description: 'Lower-case hex' }),
        }),
      ),
    }),
    example: { files: [example] },
  },
  errors: [],
})

const describeFile = describeRoute({
  tag: 'Agents',
  summary: 'Fetch a file',
  description: 'Answers range requests. The ETag is the SHA-256.',
  scope: null,
  success: {
    description: 'The file',
    schema: t.String({ format: 'binary' }),
    example: '(bytes)',
  },
  errors: [{ code: 'not_found', message: 'there is no gpupool-agent; see /download/' }],
})

/** `/download/` on the API's port; the enrolment listener has the same. No key: whoever joins has none yet. */
export const downloadRoutes = (files: DownloadFiles) =>
  new Elysia({ name: 'download' })
    .get('/download', () => answerDownloadList(files), { detail: describeList })
    .get('/download/', () => answerDownloadList(files), { detail: { hide: true } })
    .get('/download/:name', ({ request, params }) => answerDownload(files, request, params.name), {
      detail: describeFile,
    })

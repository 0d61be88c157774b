import type { DownloadFiles } from './download-files.ts'
import { failureResponse, serveFile } from './serve-file.ts'

/** `GET /download/`: what there is. */
export async function answerDownloadList(files: DownloadFiles): Promise<Response> {
  return Response.json({ files: await files.list() })
}

/** `GET /download/NAME`: the file, in parts where they are asked for. Its hash is its ETag. */
export async function answerDownload(
  files: DownloadFiles,
  request: Request,
  name: string,
): Promise<Response> {
  const found = await files.find(name)
  if (found === undefined)
    return failureResponse({ code: 'not_found', message: `there is no ${name}; see /download/` })
  return await serveFile(request, {
    path: found.path,
    headers: {
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="${found.file.name}"`,
      etag: `"${found.file.sha256}"`,
      'x-content-type-options': 'nosniff',
    },
  })
}

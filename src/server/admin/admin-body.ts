import { FieldReader, isObject, type JsonObject } from '../api/field-reader.ts'
import { readJson } from '../api/read-json.ts'
import { isFailure, type ApiFailure } from '../http-error.ts'

const adminBodyBytesMax = 64 * 1024

/**
 * Reads the body of an admin request; a field that is not known is refused, because a misspelt option would silently
 * do something else. No body counts as `{}`.
 */
export async function readAdminBody<Result extends object>(
  request: Request,
  known: readonly string[],
  parse: (body: JsonObject, read: FieldReader) => Result,
): Promise<Result | ApiFailure> {
  const body = await readJson(request, adminBodyBytesMax, {})
  if (isFailure(body)) return body
  if (!isObject(body.json))
    return { code: 'invalid_request', message: 'The body of the request must be a JSON object.' }
  const read = new FieldReader()
  read.onlyFields(body.json, known)
  const result = parse(body.json, read)
  return read.problem ?? result
}

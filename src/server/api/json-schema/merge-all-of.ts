import { isDeepStrictEqual } from 'node:util'
import { isObject, type JsonObject } from '../field-reader.ts'

/** Of a schema that `allOf` may join; anything else in one would have to be joined with everything else in another. */
const joinable: readonly string[] = ['type', 'properties', 'required', 'additionalProperties']

/**
 * Several object schemas as one with the properties of all.
 * @param schemas references resolved, annotations left out
 * @returns a text that says what cannot be joined
 */
export function mergeAllOf(schemas: readonly JsonObject[]): JsonObject | string {
  const properties: Record<string, unknown> = {}
  const required = new Set<unknown>()
  let closed = false
  for (const schema of schemas) {
    const strange = Object.keys(schema).find(key => !joinable.includes(key))
    if (strange !== undefined) return `'allOf' cannot be joined with '${strange.slice(0, 64)}'`
    const { type = 'object', additionalProperties = true } = schema
    if (type !== 'object') return "'allOf' is supported for objects only"
    if (additionalProperties !== true && additionalProperties !== false)
      return "'allOf' cannot be joined with a schema as 'additionalProperties'"
    closed ||= additionalProperties === false
    for (const [name, property] of Object.entries(objectOf(schema['properties']))) {
      if (Object.hasOwn(properties, name) && !isDeepStrictEqual(properties[name], property))
        return "'allOf' has two schemas for one property"
      properties[name] = property
    }
    for (const name of Array.isArray(schema['required']) ? schema['required'] : [])
      required.add(name)
  }
  const leftOut = schemas.some(
    schema =>
      schema['additionalProperties'] === false &&
      Object.keys(properties).some(name => !Object.hasOwn(objectOf(schema['properties']), name)),
  )
  if (leftOut) return "'allOf' has properties that 'additionalProperties': false forbids"
  return {
    type: 'object',
    properties,
    required: [...required],
    ...(closed && { additionalProperties: false }),
  }
}

const objectOf = (value: unknown): JsonObject => (isObject(value) ? value : {})

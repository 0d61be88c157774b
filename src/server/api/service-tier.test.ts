import { expect, test } from 'bun:test'
import { FieldReader } from './field-reader.ts'
import { parseServiceTier, serviceTier } from './service-tier.ts'

const served = (asked: unknown, ...scopes: Parameters<typeof serviceTier>[1]) => {
  const read = new FieldReader()
  const tier = serviceTier(parseServiceTier(asked, read), scopes)
  expect(read.problem).toBeNull()
  return tier
}

test('what is not asked for is not told', () => {
  expect(served(undefined, 'infer')).toEqual({ priority: 'normal', served: null })
  expect(served(null, 'infer')).toEqual({ priority: 'normal', served: null })
})

test('each tier is a class in line, and the answer says which', () => {
  expect(served('auto', 'infer')).toEqual({ priority: 'normal', served: 'default' })
  expect(served('default', 'infer')).toEqual({ priority: 'normal', served: 'default' })
  expect(served('flex', 'infer')).toEqual({ priority: 'low', served: 'flex' })
  expect(served('priority', 'infer', 'infer:priority')).toEqual({
    priority: 'high',
    served: 'priority',
  })
})

test('a key without the scope gets no priority, and its answer says so', () => {
  expect(served('priority', 'infer')).toEqual({ priority: 'normal', served: 'default' })
})

test.each(['scale', 'fast', ''])('%p is refused', asked => {
  const read = new FieldReader()
  parseServiceTier(asked, read)
  expect(read.problem).toMatchObject({ code: 'invalid_request', param: 'service_tier' })
})

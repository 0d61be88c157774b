import { isObject, type JsonObject } from '../field-reader.ts'
import type { RuleContext } from './rule-context.ts'

type Member = { readonly rule: string; readonly required: boolean }

/** An object: its properties in the schema's order, those that are not required or not there, then further ones. */
export function objectRule(schema: JsonObject, context: RuleContext): string {
  const { rules, json, rule, place, fail } = context
  const { properties = {}, required = [], additionalProperties } = schema
  if (!isObject(properties)) fail("'properties' must be an object of schemas")
  if (!Array.isArray(required) || required.some(name => typeof name !== 'string'))
    fail("'required' must be a list of names")
  if (rules.isOver) return '""'
  const needed = new Set(required as string[])
  const declared = Object.entries(properties as JsonObject)
  const unknown = [...needed].filter(name => !Object.hasOwn(properties as JsonObject, name))
  if (unknown.length > 0 && additionalProperties === false)
    fail("'required' names a property that 'additionalProperties': false forbids")
  const further = additionalProperties ?? declared.length + unknown.length === 0
  const all = [...declared, ...unknown.map(name => [name, furtherSchema(further)] as const)]
  const members = all.map(([name, property]): Member => {
    const value = rule(property, { ...place, path: `${place.path}.properties.${name}` })
    const member = rules.add(`${json.value(name)} ":" ${json.ws} ${value}`)
    return { rule: member, required: needed.has(name) }
  })
  return json.object(sequence(members, furtherMember(), context))

  function furtherMember(): string | null {
    if (further === false) return null
    const key = json.otherKey(all.map(([name]) => name))
    const value = rule(further, { ...place, path: `${place.path}.additionalProperties` })
    return rules.add(`${key} ":" ${json.ws} ${value}`)
  }
}

const furtherSchema = (further: unknown): unknown => (isObject(further) ? further : true)

/** Members in order with commas between those that are there. */
function sequence(
  members: readonly Member[],
  further: string | null,
  { rules, json: { comma } }: RuleContext,
): string {
  // From the last to the first: what may follow when nothing stands before it, and when something does.
  let behindNothing = further === null ? '""' : `(${further} (${comma} ${further})*)?`
  let behindSome = further === null ? '""' : `(${comma} ${further})*`
  for (const { rule, required } of members.toReversed()) {
    const tail = rules.add(behindSome)
    behindNothing = required ? `${rule} ${tail}` : `${rule} ${tail} | ${rules.add(behindNothing)}`
    behindSome = required ? `${comma} ${rule} ${tail}` : `(${comma} ${rule})? ${tail}`
  }
  return rules.add(behindNothing)
}

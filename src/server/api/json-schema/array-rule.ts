import type { JsonObject } from '../field-reader.ts'
import { repeat } from './grammar-rules.ts'
import { repetitionsMax } from './json-text.ts'
import { countOf, type RuleContext } from './rule-context.ts'

/** An array: its first items by `prefixItems`, as many of them as `maxItems` allows, the others by `items`. */
export function arrayRule(schema: JsonObject, context: RuleContext): string {
  const { rules, json, rule, place, fail } = context
  const min = countOf(schema, 'minItems', repetitionsMax, context) ?? 0
  const max = countOf(schema, 'maxItems', repetitionsMax, context)
  const { items, prefixItems = [] } = schema
  if (!Array.isArray(prefixItems)) {
    fail("'prefixItems' must be a list of schemas")
    return '""'
  }
  const prefix = prefixItems
    .slice(0, max ?? undefined)
    .map((item, index) => rule(item, { ...place, path: `${place.path}.prefixItems[${index}]` }))
  const furtherMin = Math.max(0, min - prefix.length)
  // Where nothing is said of further items, behind a prefix no more than needed are written.
  const open = items !== false && (items !== undefined || prefix.length === 0 || furtherMin > 0)
  const furtherMax = !open ? 0 : max === null ? null : max - prefix.length
  if ((furtherMax !== null && furtherMax < furtherMin) || (max !== null && max < min)) {
    fail("'minItems' is more than there may be")
    return '""'
  }
  const item = open ? rule(items ?? true, { ...place, path: `${place.path}.items` }) : '""'
  const inside = listOf(prefix, item, furtherMin, furtherMax, json.comma)
  return rules.add(`"[" ${json.ws} ${inside} ${json.ws} "]"`)
}

function listOf(
  prefix: readonly string[],
  item: string,
  min: number,
  max: number | null,
  comma: string,
): string {
  const further = `(${comma} ${item})`
  if (prefix.length > 0)
    return `${prefix.join(` ${comma} `)} ${max === 0 ? '' : repeat(further, min, max)}`
  if (max === 0) return ''
  const list = `${item} ${repeat(further, Math.max(0, min - 1), max === null ? null : max - 1)}`
  return min === 0 ? `(${list})?` : list
}

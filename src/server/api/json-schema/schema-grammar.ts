import { isObject, type JsonObject } from '../field-reader.ts'
import { arrayRule } from './array-rule.ts'
import { GrammarRules } from './grammar-rules.ts'
import { JsonText } from './json-text.ts'
import { mergeAllOf } from './merge-all-of.ts'
import { objectRule } from './object-rule.ts'
import type { Place } from './rule-context.ts'
import { integerRule, numberRule, stringRule } from './scalar-rules.ts'

const depthMax = 32
/** Schemas that one `allOf` may join. */
const joinedMax = 16

/** Keywords that say nothing about which values are allowed. */
const annotations: ReadonlySet<string> = new Set([
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
])

const keywordsOfTypes: Readonly<Record<string, readonly string[]>> = {
  string: ['minLength', 'maxLength', 'format', 'pattern'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  object: ['properties', 'required', 'additionalProperties'],
}

/**
 * Writes JSON schemas as grammar rules. What a grammar cannot say exactly is refused with its keyword, except `oneOf`,
 * which is taken as `anyOf`: one alternative is written, whether another would take the value as well is not looked at.
 * An object whose schema says nothing of further properties gets none.
 */
export class SchemaGrammar {
  readonly rules = new GrammarRules()
  readonly json: JsonText
  /** What `#/…` references are looked up in. */
  #document: unknown = {}
  #refs = new Map<string, string>()
  /** The references that values of a reference may begin with. */
  #begins = new Map<string, readonly string[]>()

  constructor({ insideToolCall = false }: { readonly insideToolCall?: boolean } = {}) {
    this.json = new JsonText(this.rules, insideToolCall)
  }

  /** @returns the name of the rule for values of a whole schema */
  document(schema: unknown, path: string): string {
    this.#document = schema
    this.#refs = new Map()
    this.#begins = new Map()
    return this.rule(schema, { path, depth: 0, ref: null })
  }

  /** The same for a part of it. */
  readonly rule = (schema: unknown, place: Place): string => {
    if (this.rules.isOver) return '""'
    if (place.depth > depthMax)
      return this.#refuse(place, `schemas may be nested ${depthMax} deep at most`)
    if (schema === true) return this.json.any('value')
    if (!isObject(schema)) return this.#refuse(place, 'a schema must be an object')
    const inner = { ...place, depth: place.depth + 1 }
    const keywords = Object.keys(schema).filter(keyword => !annotations.has(keyword))
    const only = (main: string, ...others: string[]) => {
      const strange = keywords.find(keyword => keyword !== main && !others.includes(keyword))
      if (strange !== undefined) this.#unsupported(place, strange, ` beside '${main}'`)
    }
    if ('$ref' in schema) {
      only('$ref')
      return this.#reference(schema['$ref'], inner)
    }
    if ('const' in schema) {
      only('const', 'type')
      return this.rules.add(this.json.value(schema['const']))
    }
    if ('enum' in schema) {
      only('enum', 'type')
      return this.#enumeration(schema['enum'], schema['type'], place)
    }
    for (const choice of ['anyOf', 'oneOf'])
      if (choice in schema) {
        only(choice)
        return this.#choice(schema[choice], choice, inner)
      }
    if ('allOf' in schema) return this.#allOf(schema, inner)
    return this.#typed(schema, keywords, inner)
  }

  #typed(schema: JsonObject, keywords: readonly string[], place: Place): string {
    if (keywords.length === 0) return this.json.any('value')
    const types = this.#typesOf(schema, keywords, place)
    const allowed = new Set(['type', ...types.flatMap(type => keywordsOfTypes[type] ?? [])])
    const strange = keywords.find(keyword => !allowed.has(keyword))
    if (strange !== undefined) return this.#unsupported(place, strange)
    return this.rules.add(types.map(type => this.#ofType(type, schema, place)).join(' | '))
  }

  #typesOf(schema: JsonObject, keywords: readonly string[], place: Place): readonly string[] {
    const { type } = schema
    const types = typeof type === 'string' ? [type] : type
    if (types === undefined) {
      // Without a type a keyword still speaks of one.
      const meant = Object.entries(keywordsOfTypes).find(([, known]) =>
        keywords.some(keyword => known.includes(keyword)),
      )
      if (meant !== undefined) return [meant[0]]
      this.#unsupported(place, keywords[0] ?? '')
    } else if (
      Array.isArray(types) &&
      types.length > 0 &&
      types.every(each => typeof each === 'string' && Object.hasOwn(keywordsOfTypes, each))
    )
      return types as string[]
    else this.#refuse(place, "'type' must be a type of JSON or a list of them")
    return []
  }

  #ofType(type: string, schema: JsonObject, place: Place): string {
    const fail = (message: string) => void this.#refuse(place, message)
    const { rules, json, rule } = this
    // Behind a bracket recursion is fine.
    const context = { rules, json, rule, fail, place: { ...place, ref: null } }
    switch (type) {
      case 'object':
        return objectRule(schema, context)
      case 'array':
        return arrayRule(schema, context)
      case 'string':
        return stringRule(schema, context)
      case 'integer':
        return integerRule(schema, context)
      case 'number':
        return numberRule(schema, context)
      case 'boolean':
        return rules.add('"true" | "false"')
      default:
        return rules.add('"null"')
    }
  }

  #reference(ref: unknown, place: Place): string {
    if (typeof ref !== 'string' || !ref.startsWith('#'))
      return this.#refuse(place, "'$ref' must point into the schema itself, like '#/$defs/name'")
    if (place.ref !== null) {
      if (this.#leadsTo(ref, place.ref)) return this.#refuse(place, "'$ref' leads back to itself")
      this.#begins.set(place.ref, [...(this.#begins.get(place.ref) ?? []), ref])
    }
    const known = this.#refs.get(ref)
    if (known !== undefined) return known
    const target = this.#target(ref)
    if (target === undefined) return this.#refuse(place, "'$ref' points to nothing")
    const name = this.rules.reserve()
    this.#refs.set(ref, name)
    this.rules.define(name, this.rule(target, { ...place, depth: 0, ref }))
    return name
  }

  /** Whether values of one reference may begin as values of another. */
  #leadsTo(from: string, to: string): boolean {
    const seen = new Set([from])
    for (const ref of seen) for (const next of this.#begins.get(ref) ?? []) seen.add(next)
    return seen.has(to)
  }

  #target(ref: string): unknown {
    let at: unknown = this.#document
    for (const part of ref.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
      at = (at as JsonObject)[key]
    }
    return at
  }

  #enumeration(values: unknown, type: unknown, place: Place): string {
    if (!Array.isArray(values) || values.length === 0)
      return this.#refuse(place, "'enum' must be a list of values")
    const types = type === undefined ? null : Array.isArray(type) ? type : [type]
    const fitting = values.filter(value => types === null || types.some(each => isOf(value, each)))
    if (fitting.length === 0) return this.#refuse(place, "'enum' has no value of its 'type'")
    return this.rules.add(fitting.map(value => this.json.value(value)).join(' | '))
  }

  #choice(schemas: unknown, keyword: string, place: Place): string {
    if (!Array.isArray(schemas) || schemas.length === 0)
      return this.#refuse(place, `'${keyword}' must be a list of schemas`)
    const alternatives = schemas.map((schema, index) =>
      this.rule(schema, { ...place, path: `${place.path}.${keyword}[${index}]` }),
    )
    return this.rules.add(alternatives.join(' | '))
  }

  #allOf({ allOf, ...beside }: JsonObject, place: Place): string {
    if (!Array.isArray(allOf) || allOf.length === 0 || allOf.length > joinedMax)
      return this.#refuse(place, `'allOf' must be a list of 1 to ${joinedMax} schemas`)
    const own = withoutAnnotations(beside)
    if (allOf.length === 1 && Object.keys(own).length === 0) return this.rule(allOf[0], place)
    const parts = [...allOf.map(part => this.#resolved(part)), own]
    const merged = mergeAllOf(parts.filter(part => Object.keys(part).length > 0))
    return typeof merged === 'string' ? this.#refuse(place, merged) : this.rule(merged, place)
  }

  #resolved(schema: unknown): JsonObject {
    let at = schema
    for (let step = 0; step < depthMax; step++) {
      if (!isObject(at)) return { schema: at }
      if (typeof at['$ref'] !== 'string') return withoutAnnotations(at)
      at = this.#target(at['$ref'])
    }
    return { $ref: null }
  }

  #unsupported(place: Place, keyword: string, where = ''): string {
    return this.#refuse(place, `the keyword '${keyword.slice(0, 64)}' is not supported${where}`)
  }

  #refuse({ path }: Place, why: string): string {
    this.rules.fail(`in '${path.slice(0, 200)}' ${why}`)
    return '""'
  }
}

const withoutAnnotations = (schema: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(schema).filter(([keyword]) => !annotations.has(keyword)))

function isOf(value: unknown, type: unknown): boolean {
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return isObject(value)
  return typeof value === type
}

import type { Priority } from '../../scheduler/priority.ts'
import type { Scope } from '../store/store.ts'
import type { FieldReader } from './field-reader.ts'

/** What `service_tier` may ask for. OpenAI's `scale` is capacity that was bought ahead; nobody sells any here. */
const askedTiers = ['auto', 'default', 'flex', 'priority'] as const
export type AskedTier = (typeof askedTiers)[number]

/** How a request is really served. */
export type ServedTier = Exclude<AskedTier, 'auto'>

/** @returns null when it was not asked for */
export function parseServiceTier(value: unknown, read: FieldReader): AskedTier | null {
  const text = read.string(value, 'service_tier')
  if (text === null) return null
  const tier = askedTiers.find(name => name === text)
  if (tier === undefined)
    read.fail('service_tier', `Invalid 'service_tier': expected one of ${askedTiers.join(', ')}.`)
  return tier ?? null
}

/**
 * Whoever asks for more than its key may have is served as by default and told so, as OpenAI's answers tell the tier
 * that was really used.
 * @returns the class in line, and what the answer says; null: nothing, because nothing was asked
 */
export function serviceTier(
  asked: AskedTier | null,
  scopes: readonly Scope[],
): { readonly priority: Priority; readonly served: ServedTier | null } {
  if (asked === null) return { priority: 'normal', served: null }
  if (asked === 'flex') return { priority: 'low', served: 'flex' }
  if (asked === 'priority' && scopes.includes('infer:priority'))
    return { priority: 'high', served: 'priority' }
  return { priority: 'normal', served: 'default' }
}

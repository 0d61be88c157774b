import type { Store } from '../src/server/store/store.ts'
import { storableText } from '../src/server/store/columns.ts'
import { Tables } from './tables.ts'

/**
 * How an operation gets to the disk. `commit` changes the rows; it runs once, or never when the server dies before.
 * @returns what `commit` answered, when the acknowledgement has come back
 */
export type Medium = <Answer>(commit: () => Answer) => Promise<Answer>

/** What a database gives back is never what it was given, and it keeps no text that it cannot hold (columns.ts). */
function copied<Value>(value: Value): Value {
  if (typeof value === 'string') return storableText(value) as Value
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(copied) as Value
  const entries = Object.entries(value).map(([name, each]) => [storableText(name), copied(each)])
  return Object.fromEntries(entries) as Value
}

type Operation = (...args: unknown[]) => unknown

/** The store's interface over rows in memory. What an operation costs, loses and refuses is the medium's. */
export function createSimStore(tables: () => Tables, medium: Medium): Store {
  const operations: Record<string, Operation> = { close: () => Promise.resolve() }
  for (const name of Object.getOwnPropertyNames(Tables.prototype)) {
    if (name === 'constructor') continue
    const operation = Reflect.get(Tables.prototype, name) as Operation
    operations[name] = (...args) => medium(() => copied(operation.apply(tables(), copied(args))))
  }
  // `Tables` implements every operation, as the compiler sees.
  return operations as unknown as Store
}

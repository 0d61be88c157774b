import type { Store } from '../src/server/store/store.ts'
import { Tables } from './tables.ts'

/**
 * How an operation gets to the disk. `commit` changes the rows; it runs once, or never when the server dies before.
 * @returns what `commit` answered, when the acknowledgement has come back
 */
export type Medium = <Answer>(commit: () => Answer) => Promise<Answer>

type Operation = (...args: unknown[]) => unknown

/** The store's interface over rows in memory. What an operation costs, loses and refuses is the medium's. */
export function createSimStore(tables: Tables, medium: Medium): Store {
  const operations: Record<string, Operation> = { close: () => Promise.resolve() }
  for (const name of Object.getOwnPropertyNames(Tables.prototype)) {
    if (name === 'constructor') continue
    const operation = Reflect.get(tables, name) as Operation
    operations[name] = (...args) => medium(() => operation.apply(tables, args))
  }
  // `Tables` implements every operation, as the compiler sees.
  return operations as unknown as Store
}

import { openPgliteStore } from '../../src/server/store/pglite-store.ts'
import { isStoreRefusal } from '../../src/server/store/store-refusal.ts'
import { key } from './store-fixtures.ts'

/**
 * A process for tests to kill: opens the store in the directory of its first argument and makes one key after the other,
 * named after its second argument, each told on stdout once it is acknowledged. Bounded, should nobody kill it.
 */
const writesMax = 100_000

const [, , dataDir = '', prefix = ''] = process.argv
const store = await openPgliteStore(dataDir)
if (isStoreRefusal(store)) throw new Error(store.message)
for (let n = 0; n < writesMax; n += 1) {
  const id = `${prefix}-${n}`
  await store.createKey(key({ id }))
  process.stdout.write(`${id}\n`)
}
await store.close()

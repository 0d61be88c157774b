import { and, eq, sql } from 'drizzle-orm'
import type { StoreDatabase } from './database.ts'
import { modelOrders, models } from './schema.ts'
import type { ModelRecord, Store } from './store.ts'

type ModelMethods = Pick<
  Store,
  | 'addModel'
  | 'getModel'
  | 'listModels'
  | 'removeModel'
  | 'setModelStay'
  | 'listModelOrders'
  | 'setModelOrder'
>

function toRecord(row: typeof models.$inferSelect): ModelRecord {
  const { name: _keptInManifest, ...record } = row
  return record
}

/** The catalogue. */
export const modelMethods = (db: StoreDatabase): ModelMethods => ({
  async addModel(model) {
    const added = await db
      .insert(models)
      .values({ name: model.manifest.name, ...model })
      .onConflictDoNothing({ target: models.name })
      .returning({ name: models.name })
    return added.length === 1
  },

  async getModel(name) {
    const [row] = await db.select().from(models).where(eq(models.name, name))
    return row && toRecord(row)
  },

  async listModels() {
    // The same order everywhere, whatever language the database was created with.
    const rows = await db
      .select()
      .from(models)
      .orderBy(sql`${models.name} collate "C"`)
    return rows.map(toRecord)
  },

  async removeModel(name) {
    const removed = await db
      .delete(models)
      .where(eq(models.name, name))
      .returning({ name: models.name })
    return removed.length === 1
  },

  async setModelStay(name, stay) {
    const changed = await db
      .update(models)
      .set(stay)
      .where(eq(models.name, name))
      .returning({ name: models.name })
    return changed.length === 1
  },

  async listModelOrders() {
    return db.select().from(modelOrders).orderBy(modelOrders.agentId, modelOrders.model)
  },

  async setModelOrder(agentId, model, loaded) {
    if (loaded === null) {
      await db
        .delete(modelOrders)
        .where(and(eq(modelOrders.agentId, agentId), eq(modelOrders.model, model)))
      return
    }
    await db
      .insert(modelOrders)
      .values({ agentId, model, loaded })
      .onConflictDoUpdate({ target: [modelOrders.agentId, modelOrders.model], set: { loaded } })
  },
})

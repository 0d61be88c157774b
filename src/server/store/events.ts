import { desc, eq, lt, sql } from 'drizzle-orm'
import { storableJson, instantToText } from './columns.ts'
import type { StoreDatabase } from './database.ts'
import { agents, events } from './schema.ts'
import type { Store } from './store.ts'

/** What the operator was told of. */
export const eventMethods = (db: StoreDatabase): Pick<Store, 'appendEvents' | 'listEvents'> => ({
  /** One statement whatever the batch's size; an agent that is gone meanwhile leaves its event behind. */
  async appendEvents(batch) {
    if (batch.length === 0) return
    const rows = storableJson(
      batch.map((event, n) => ({ ...event, at: instantToText(event.at), n })),
    )
    await db.execute(sql`
      insert into ${events}
        (event_type, severity, "timestamp", agent_id, agent_name, model, text, times)
      select told.type, told.severity, told.at, ${agents.agentId}, told."agentName", told.model,
        told.text, told.times
      from jsonb_to_recordset(${rows}::jsonb) as told(
        n integer, type text, severity event_severity, at timestamptz, "agentId" uuid,
        "agentName" text, model text, text text, times integer)
      left join ${agents} on ${agents.agentId} = told."agentId"
      order by told.n`)
  },

  listEvents({ agentId, limitRows }) {
    return db
      .select({
        type: events.eventType,
        severity: events.severity,
        at: events.timestamp,
        agentId: events.agentId,
        agentName: events.agentName,
        model: events.model,
        text: events.text,
        times: events.times,
      })
      .from(events)
      .where(agentId === null ? undefined : eq(events.agentId, agentId))
      .orderBy(desc(events.timestamp), desc(events.eventId))
      .limit(limitRows)
  },
})

/** Deletes what is older than `before`, and all but the newest `rowsMax`. */
export async function pruneEvents(
  db: StoreDatabase,
  before: number,
  rowsMax: number,
): Promise<void> {
  await db.delete(events).where(lt(events.timestamp, before))
  await db.execute(sql`
    delete from ${events} where event_id <= (
      select event_id from ${events} order by event_id desc offset ${rowsMax} limit 1
    )`)
}

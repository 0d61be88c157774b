import { timingSafeEqual } from 'node:crypto'
import { and, asc, desc, eq, gt, sql } from 'drizzle-orm'
import type { StoreDatabase } from './database.ts'
import { instantToText, storableJson } from './columns.ts'
import { agentHistory, agents, joinTokens } from './schema.ts'
import type { AgentRecord, Store } from './store.ts'

type AgentMethods = Pick<
  Store,
  | 'enrolAgent'
  | 'getAgent'
  | 'listAgents'
  | 'updateAgentCapabilities'
  | 'setAgentStatus'
  | 'setAgentAdminState'
  | 'setAgentReliability'
  | 'setAgentHealth'
  | 'recordHeartbeats'
  | 'appendHistory'
  | 'listHistory'
  | 'createJoinToken'
>

function toRecord(row: typeof agents.$inferSelect): AgentRecord {
  const { agentId, lastHeartbeat, ...same } = row
  return { id: agentId, lastHeartbeatAt: lastHeartbeat, ...same }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.byteLength === b.byteLength && timingSafeEqual(a, b)

const enrolAgent =
  (db: StoreDatabase): Store['enrolAgent'] =>
  ({ tokenId, tokenSecretHash, agent, now }) =>
    db.transaction(async tx => {
      const [token] = await tx.select().from(joinTokens).where(eq(joinTokens.id, tokenId))
      if (token === undefined || !sameBytes(token.secretHash, tokenSecretHash)) {
        return 'token_unknown'
      }
      // The row lock of this update is what makes one of two parallel uses of the last use win.
      const [used] = await tx
        .update(joinTokens)
        .set({ usesLeft: sql`${joinTokens.usesLeft} - 1` })
        .where(
          and(
            eq(joinTokens.id, tokenId),
            gt(joinTokens.usesLeft, 0),
            gt(joinTokens.expiresAt, now),
          ),
        )
        .returning({ autoApprove: joinTokens.autoApprove })
      if (used === undefined) {
        return token.expiresAt <= Math.round(now) ? 'token_expired' : 'token_used_up'
      }
      const { id, ...facts } = agent
      const inserted = await tx
        .insert(agents)
        .values({
          agentId: id,
          ...facts,
          status: 'offline',
          adminState: used.autoApprove ? 'active' : 'pending',
          enrolledAt: now,
        })
        .returning()
      const [row] = inserted
      if (row === undefined) throw new Error('insert … returning answered no row')
      return toRecord(row)
    })

/** One statement whatever the batch's size: the batch travels as a single JSON parameter. */
const recordHeartbeats =
  (db: StoreDatabase): Store['recordHeartbeats'] =>
  async beats => {
    if (beats.length === 0) return
    const batch = storableJson(beats.map(({ id, at }) => ({ id, at: instantToText(at) })))
    // Rows are locked in the order of their ids, so that two servers' batches cannot wait for each other in a ring.
    await db.execute(sql`
      with beats as (
        select id, max(at) as at
        from jsonb_to_recordset(${batch}::jsonb) as beat(id uuid, at timestamptz)
        group by id
      ), locked as (
        select ${agents.agentId} as id, beats.at
        from ${agents} join beats on ${agents.agentId} = beats.id
        order by ${agents.agentId} for no key update of ${agents}
      )
      update ${agents} set last_heartbeat = greatest(${agents.lastHeartbeat}, locked.at)
      from locked where ${agents.agentId} = locked.id`)
  }

const appendHistory =
  (db: StoreDatabase): Store['appendHistory'] =>
  async events => {
    if (events.length === 0) return
    const batch = storableJson(
      events.map(({ agentId, type, at, metadata }) => ({
        agent_id: agentId,
        event_type: type,
        at: instantToText(at),
        metadata,
      })),
    )
    await db.execute(sql`
      insert into ${agentHistory} (agent_id, event_type, "timestamp", metadata)
      select agent_id, event_type, at, metadata
      from jsonb_to_recordset(${batch}::jsonb)
        as event(agent_id uuid, event_type agent_event, at timestamptz, metadata jsonb)`)
  }

/** Everything about agents: the registry, its history and the tokens that let new ones in. */
export const agentMethods = (db: StoreDatabase): AgentMethods => ({
  enrolAgent: enrolAgent(db),
  recordHeartbeats: recordHeartbeats(db),
  appendHistory: appendHistory(db),

  async getAgent(id) {
    const [row] = await db.select().from(agents).where(eq(agents.agentId, id))
    return row && toRecord(row)
  },

  async listAgents() {
    const rows = await db.select().from(agents).orderBy(asc(agents.enrolledAt), asc(agents.agentId))
    return rows.map(toRecord)
  },

  async updateAgentCapabilities(id, capabilities, region) {
    await db.update(agents).set({ capabilities, region }).where(eq(agents.agentId, id))
  },

  async setAgentStatus(id, status) {
    await db.update(agents).set({ status }).where(eq(agents.agentId, id))
  },

  async setAgentAdminState(id, adminState) {
    const changed = await db
      .update(agents)
      .set({ adminState })
      .where(eq(agents.agentId, id))
      .returning({ id: agents.agentId })
    return changed.length === 1
  },

  async setAgentReliability(id, reliability, reliabilityRecord) {
    await db.update(agents).set({ reliability, reliabilityRecord }).where(eq(agents.agentId, id))
  },

  async setAgentHealth(id, health) {
    await db.update(agents).set({ health }).where(eq(agents.agentId, id))
  },

  async listHistory(id, limitRows) {
    const rows = await db
      .select()
      .from(agentHistory)
      .where(eq(agentHistory.agentId, id))
      .orderBy(desc(agentHistory.timestamp), desc(agentHistory.eventId))
      .limit(limitRows)
    return rows.map(row => ({
      agentId: row.agentId,
      type: row.eventType,
      at: row.timestamp,
      metadata: row.metadata,
    }))
  },

  async createJoinToken(token) {
    await db.insert(joinTokens).values(token)
  },
})

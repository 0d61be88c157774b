import { readLockOwner } from '../agent-lock.ts'
import { askStatus, localControlPath } from '../local-control.ts'
import type { AgentFacts } from './check-agent.ts'

/** Asks for an agent on the state directory; takes nothing from it and leaves nothing there. */
export async function gatherAgent(stateDir: string): Promise<AgentFacts> {
  const owner = readLockOwner(stateDir)
  let reason = 'its local control is not there'
  try {
    const status = await askStatus(localControlPath(stateDir))
    if (status !== undefined) return { type: 'running', ...status }
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error)
  }
  return owner === null ? { type: 'none' } : { type: 'silent', pid: owner.pid, reason }
}

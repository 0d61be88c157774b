import { agentLimits } from './agent-limits.ts'

const minutesMax = 7 * 24 * 60

/**
 * Reads GPUPOOL_AGENT_IDLE_UNLOAD_MINUTES.
 * @returns after how many ms an unused model is unloaded, null for never, or what is wrong, for the owner
 */
export function parseIdleUnload(text: string | undefined): number | null | string {
  if (text === undefined || text === '') return agentLimits.idleUnloadMs
  const minutes = Number(text)
  if (text.trim() === '' || !Number.isInteger(minutes) || minutes < 0 || minutes > minutesMax)
    return `GPUPOOL_AGENT_IDLE_UNLOAD_MINUTES must be a whole number from 0 (never) to ${minutesMax}, not "${text}"`
  return minutes === 0 ? null : minutes * 60_000
}

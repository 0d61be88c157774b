import { limits } from '../protocol/limits.ts'

/**
 * How long to wait before the next attempt to connect: 1, 2, 4 … 60 s (specification 5.5), each ±30 % so that agents
 * that lost their server together do not come back together.
 * @param failures attempts that failed in a row before, from 0
 * @param random drawn from [0, 1)
 * @returns milliseconds
 */
export const reconnectDelayMs = (failures: number, random: number): number =>
  jittered(Math.min(limits.reconnectDelayMaxMs, limits.reconnectDelayMinMs * 2 ** failures), random)

/** @returns the delay ±30 % */
export const jittered = (delayMs: number, random: number): number =>
  delayMs * (1 + limits.reconnectJitterRatio * (2 * random - 1))

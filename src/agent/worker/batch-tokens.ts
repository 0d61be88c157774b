/** Tokens that are computed at once, all slots together: memory grows with it, and a cancel waits for one batch at most. */
export const batchTokensMax = 512

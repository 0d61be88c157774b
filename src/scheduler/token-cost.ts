/**
 * What a token of an answer costs, in tokens of a prompt. A prompt is computed many tokens at once and an answer one by
 * one; the paper behind `TenantLine` weighs 1 to 2 in its evaluation, and prices per token of hosted models begin there.
 */
const answerTokenWeight = 2

/** Tokens of an answer that are expected at most: clients allow far more than most answers need. */
const answerTokensExpectedMax = 512

/** Of text in most languages. */
const bytesPerTokenUsual = 4

/** @returns what a request has cost, in tokens of a prompt */
export const tokenCost = (promptTokens: number, answerTokens: number): number =>
  promptTokens + answerTokenWeight * answerTokens

/**
 * What a request will probably cost; the end corrects it.
 * @param promptBytes of the prompt's text
 * @param answerTokensMax that the client allows; null: as many as the context holds
 */
export const expectedTokenCost = (promptBytes: number, answerTokensMax: number | null): number =>
  tokenCost(
    Math.ceil(promptBytes / bytesPerTokenUsual),
    Math.min(answerTokensMax ?? answerTokensExpectedMax, answerTokensExpectedMax),
  )

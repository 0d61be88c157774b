import { batchTokensMax } from '../../models/serving-need.ts'

/**
 * A continuation computes the answer's earlier tokens in pieces of at most so many. They were computed one by one the
 * first time; larger batches use other kernels, whose last bits differ: with pieces of 64 and more, 51 of 843
 * continuations went another way, with 32 none did.
 */
export const replayPieceTokensMax = 32

/**
 * Tokens of one piece of a prompt. Running streams wait for one piece at a time, and what a slot keeps for the next
 * turn is whole pieces, so small is good; a processor's matrix kernels are as fast with 256 as with 512 (546 and 460
 * tokens/s on two cores; 508 with 128, 337 with 32). A GPU wants as many as its memory was planned for.
 */
export const pieceTokensOn = (device: 'processor' | 'gpu'): number =>
  device === 'gpu' ? batchTokensMax : 256

/**
 * Cuts what has to be computed before sampling. The prompt is cut at multiples of `pieceTokens`, whatever of it a slot
 * holds already and whoever else is running, and the last token before the sample stands alone as it did there, so
 * that a continuation computes what the undisturbed run computed: of 794 continuations none went another way; with the
 * prompt in pieces of 32 as well, 210 did.
 * @returns pieces in order; the token behind the last one is to be sampled
 */
export function prefillPieces(
  prompt: readonly number[],
  replayed: readonly number[],
  pieceTokens: number,
): number[][] {
  const last = replayed.at(-1)
  return [
    ...piecesOf(prompt, pieceTokens),
    ...piecesOf(replayed.slice(0, -1), replayPieceTokensMax),
    ...(last === undefined ? [] : [[last]]),
  ]
}

function piecesOf(tokenIds: readonly number[], piecesTokensMax: number): number[][] {
  const pieces: number[][] = []
  for (let at = 0; at < tokenIds.length; at += piecesTokensMax)
    pieces.push(tokenIds.slice(at, at + piecesTokensMax))
  return pieces
}

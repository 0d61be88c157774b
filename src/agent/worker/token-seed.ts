/**
 * The seed of the token at `index` in an answer: token i is sampled with a fresh generator seeded by this, so that a
 * continuation on another machine draws at index n what the first machine would have drawn there.
 *
 * It is the 32-bit finaliser of MurmurHash3 over the request's seed, then over that mixed with the index times
 * 2^32 / golden ratio. The function is part of the pool's behaviour: an agent that computed it differently would
 * continue other agents' answers differently, so it never changes without a new protocol feature.
 *
 * Never 0xFFFFFFFF: llama.cpp takes that for "draw a seed yourself" (LLAMA_DEFAULT_SEED).
 */
export function tokenSeed(requestSeed: number, index: number): number {
  const seed = finalise(finalise(requestSeed) ^ Math.imul(index + 1, 0x9e3779b9))
  return seed === 0xffffffff ? 0xfffffffe : seed
}

/** MurmurHash3's fmix32: every bit of the input moves every bit of the output. */
export function finalise(value: number): number {
  let h = value >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

import type { LlamaModel } from 'node-llama-cpp'

type Token = Parameters<LlamaModel['isEogToken']>[0] & number

/** node-llama-cpp brands its token ids; ids from the wire are plain numbers. */
export const tokenOf = (id: number): Token => id as Token

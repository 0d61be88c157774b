import type { TokenFrame } from '../../../src/protocol/token-frame.ts'

/*
 * What a test's worker and the test say to each other, as lines of JSON over a Unix socket of the test's folder
 * (gated-worker.ts, gate.ts). The demo model is faster than any kill, so a worker stops where the test wants it and
 * stands there until it is told to go on.
 */

/** Where the socket is, and the name of the machine; both for gated-agent.ts, which hands them to its workers. */
export const gateVariable = 'GPUPOOL_TEST_GATE'
export const machineVariable = 'GPUPOOL_TEST_MACHINE'

/** One attempt of one stream on one worker. */
export type Attempt = { readonly stream: number; readonly attempt: number }

/**
 * Where an attempt stops: before it draws token number `at`, counted from 0 and from the beginning of the answer. An answer
 * of n tokens has two places more: at n, all tokens are sent, but neither text that was held back to the end nor the end; at
 * n + 1 that text is sent, too. Null: it does not stop.
 */
export type StopAt = number | null

export type WorkerWord =
  | { readonly say: 'here'; readonly machine: string; readonly pid: number }
  /** It has a job, with the tokens of the attempts before, and waits to be told where to stop. */
  | ({ readonly say: 'begun'; readonly tokenIds: readonly number[] } & Attempt)
  /** It stands; all frames of the tokens before are in the pipe to the agent. It waits to be told the next stop. */
  | ({ readonly say: 'standing'; readonly tokens: number } & Attempt)
  /** The job has ended here with these frames, and its end is in the pipe unless it was cancelled. */
  | ({ readonly say: 'ended'; readonly frames: readonly SentFrame[] } & Attempt)

/** A token's frame, or one of text alone. */
export type SentFrame = Pick<TokenFrame, 'index' | 'tokenId' | 'segments'>

export type GateWord = { readonly stopAt: StopAt } & Attempt

/** Cuts what a socket brings into lines of JSON. */
export class LineReader<Word> {
  readonly #decoder = new TextDecoder()
  #rest = ''

  push(bytes: Uint8Array): readonly Word[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n')
    this.#rest = lines.pop() ?? ''
    return lines.map(line => JSON.parse(line) as Word)
  }
}

export const lineOf = (word: WorkerWord | GateWord): string => `${JSON.stringify(word)}\n`

import type { Undisturbed } from './pool.ts'

/** Which places of each answer are cut. */
export type Selection =
  | { readonly kind: 'twelve' | 'all' }
  /** Twelve others for each seed. */
  | { readonly kind: 'random'; readonly seed: string }
  /** One run of one test again. */
  | {
      readonly kind: 'one'
      readonly losses: string
      readonly answer: string
      readonly stop: number
    }

export const selectionVariable = 'GPUPOOL_TEST_TAKEOVER'
const share = 12

/** Twelve places of an answer or fewer, as `npm test` has time for. */
export const isShare = ({ kind }: Selection): boolean => kind === 'twelve' || kind === 'random'

/** For one test. A stream that nobody goes on with would wait for ever. */
export const limitMs = ({ kind }: Selection): number => (kind === 'all' ? 3_600_000 : 240_000)

/** @returns what is wanted, or twelve where nothing is */
export function readSelection(text = process.env[selectionVariable]): Selection {
  if (text === undefined || text === '') return { kind: 'twelve' }
  if (text === 'all') return { kind: 'all' }
  if (text.startsWith('random:')) return { kind: 'random', seed: text.slice('random:'.length) }
  const [losses, answer, stop] = text.split('/')
  if (losses === undefined || answer === undefined || !/^\d+$/.test(stop ?? ''))
    throw new Error(`${selectionVariable} is all, random:SEED or LOSS/ANSWER/POSITION, not ${text}`)
  return { kind: 'one', losses, answer, stop: Number(stop) }
}

/**
 * @param losses names of the losses of the campaign, joined
 * @param first of twelve, and of random ones
 */
export function positionsOf(
  answer: Undisturbed,
  selection: Selection,
  { losses, first }: { readonly losses: string; readonly first: number },
): readonly number[] {
  const last = answer.tokens + 1
  switch (selection.kind) {
    case 'all':
      return Array.from({ length: last + 1 }, (_, position) => position)
    case 'twelve':
      return twelve(answer, first)
    case 'random': {
      const order = (position: number) =>
        Bun.hash.wyhash(`${selection.seed}/${losses}/${answer.name}/${position}`)
      return Array.from({ length: last + 1 - first }, (_, at) => first + at)
        .toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
        .slice(0, share)
    }
    case 'one':
      return selection.losses === losses && selection.answer === answer.name ? [selection.stop] : []
  }
}

/** The first and the last places, three behind tokens whose text was held back, the others evenly over all. */
function twelve({ tokens, frames }: Undisturbed, first: number): readonly number[] {
  const held = frames.filter(({ segments }) => segments.length === 0).map(({ index }) => index)
  const chosen = new Set([first, first + 1, tokens, tokens + 1])
  for (const part of [0.2, 0.5, 0.8]) {
    const token = held[Math.floor(part * held.length)]
    if (token !== undefined) chosen.add(token + 1)
  }
  for (let parts = 2; chosen.size < share; parts++)
    for (let part = 1; part < parts && chosen.size < share; part++)
      chosen.add(Math.round((tokens * part) / parts))
  return [...chosen].toSorted((a, b) => a - b)
}

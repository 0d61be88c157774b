import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { ModelShelf, ShelfFile } from '../model-shelf.ts'

/** What the owner asks of the models folder, as one line on the local control socket. */
export type ShelfRequest = { readonly list: true } | { readonly remove: string }

const AnswerSchema = Type.Object({
  /** What lies there, or what was removed. */
  models: Type.Array(
    Type.Object({
      name: Type.Union([Type.String(), Type.Null()]),
      sha256: Type.String(),
      sizeBytes: Type.Number(),
      inUse: Type.Boolean(),
      /** Wall-clock ms. */
      lastUsedAt: Type.Number(),
      /** The agent fetched it, and may remove it for another. */
      own: Type.Boolean(),
      /** False while it is being fetched, or after that was broken off. */
      whole: Type.Boolean(),
    }),
  ),
  problem: Type.Union([Type.String(), Type.Null()]),
})
export type ShelfAnswer = Static<typeof AnswerSchema>
const answerCheck = Compile(AnswerSchema)

export const encodeShelfRequest = (request: ShelfRequest): string =>
  'list' in request ? 'models' : `models_rm ${request.remove}`

/** @returns the answer to a line, or undefined when it is no request of this kind */
export async function answerShelf(
  shelf: Pick<ModelShelf, 'list' | 'remove'>,
  line: string,
): Promise<ShelfAnswer | undefined> {
  if (line === 'models') return { models: (await shelf.list()).map(shown), problem: null }
  const which = /^models_rm (.{1,200})$/.exec(line)?.[1]
  if (which === undefined) return undefined
  const removed = await shelf.remove(which)
  return 'problem' in removed
    ? { models: [], problem: removed.problem }
    : { models: removed.removed.map(shown), problem: null }
}

/** @returns undefined when an agent of another version answers another way */
export function parseShelfAnswer(text: string): ShelfAnswer | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return answerCheck.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

const shown = ({ name, sha256, sizeBytes, inUse, lastUsedAt, own, whole }: ShelfFile) => ({
  name,
  sha256,
  sizeBytes,
  inUse,
  lastUsedAt,
  own,
  whole,
})

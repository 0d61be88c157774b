import { Compile } from 'typebox/compile'
import { CatalogueAnswerSchema, type CatalogueAnswer } from '../protocol/catalogue.ts'
import { limits } from '../protocol/limits.ts'
import { poolHeaders, readBounded } from './pool-request.ts'
import type { Enrolment } from './state-dir.ts'

export type FetchedCatalogue =
  | { readonly type: 'catalogue'; readonly catalogue: CatalogueAnswer }
  | { readonly type: 'refused'; readonly message: string }
  /** The server is from before there was something to ask. */
  | { readonly type: 'older' }
  | { readonly type: 'unreachable'; readonly problem: string }

const answerCheck = Compile(CatalogueAnswerSchema)

/** Asks the pool's server what models there are, on a connection that the pool's authority vouches for. */
export async function fetchCatalogue(
  { identity, caPem }: Pick<Enrolment, 'identity' | 'caPem'>,
  signal: AbortSignal,
): Promise<FetchedCatalogue> {
  try {
    const response = await fetch(`${identity.origin}/catalogue`, {
      headers: poolHeaders(identity),
      tls: { ca: caPem },
      redirect: 'error',
      signal,
    })
    if (response.status === 404) return { type: 'older' }
    if (response.status === 401 || response.status === 403)
      return { type: 'refused', message: 'it knows no approved machine with this key' }
    if (response.status !== 200)
      return { type: 'unreachable', problem: `the server answers ${response.status}` }
    const answer: unknown = JSON.parse(await readBounded(response, limits.catalogueAnswerBytesMax))
    return answerCheck.Check(answer)
      ? { type: 'catalogue', catalogue: answer }
      : { type: 'unreachable', problem: 'the server answers something else than a catalogue' }
  } catch (error) {
    return { type: 'unreachable', problem: error instanceof Error ? error.message : String(error) }
  }
}

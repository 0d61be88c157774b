import { makePack, type Pack } from '../../../script/build-agent/make-pack.ts'

/** A pack of a few small files, made as the real ones are. */
export const smallPack = (texts: Readonly<Record<string, string>>): Promise<Pack> =>
  makePack(
    new Map(Object.entries(texts).map(([path, text]) => [path, new TextEncoder().encode(text)])),
    1,
  )

/** In pieces, as a file is read. */
export async function* inPieces(bytes: Uint8Array, pieceBytes = 97): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes)
}

import type { ShelfFile } from '../model-shelf.ts'

const prefixMin = 6

/**
 * The files that a person means, by name or by the beginning of a hash; of one model, with what a broken download left.
 * @returns the files, or why it is not clear or not possible to remove them
 */
export function selectFiles<File extends Pick<ShelfFile, 'sha256' | 'name' | 'inUse'>>(
  files: readonly File[],
  which: string,
): readonly File[] | { readonly problem: string } {
  const isPrefix = new RegExp(`^[0-9a-f]{${prefixMin},64}$`).test(which)
  const named = files.filter(({ name }) => name === which)
  const meant =
    named.length > 0 ? named : files.filter(one => isPrefix && one.sha256.startsWith(which))
  const [first] = meant
  if (first === undefined)
    return {
      problem: `there is no model "${which}" here; "models" lists names and hashes (${prefixMin} characters or more of a hash)`,
    }
  if (meant.some(({ sha256 }) => sha256 !== first.sha256))
    return { problem: `"${which}" is more than one file; say more of the hash` }
  if (meant.some(({ inUse }) => inUse))
    return {
      problem: `"${first.name ?? which}" is in use; have the pool's operator unload it, or stop the agent first`,
    }
  return meant
}

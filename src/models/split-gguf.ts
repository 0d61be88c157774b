import { createHash } from 'node:crypto'
import { readGgufHeader, type GgufHeader } from './gguf-header.ts'

/** More than any split model on public hosts has. */
export const modelPartsMax = 256

const splitName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s

/** How llama.cpp names the parts of a model, and finds the others by the first one's name. */
export const partName = (prefix: string, number: number, count: number): string =>
  `${prefix}-${String(number).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.gguf`

/**
 * The parts of a split model, by the name of the first.
 * @returns all paths in order; null for a file that is not split; a text for a part that is not the first, or too many
 */
export function splitPaths(path: string): readonly string[] | null | string {
  const [, prefix = '', numberText, countText] = splitName.exec(path) ?? []
  if (numberText === undefined) return null
  const count = Number(countText)
  if (Number(numberText) !== 1)
    return `this is part ${Number(numberText)} of a split model; name the first, ${partName(prefix, 1, count)}`
  if (count < 1 || count > modelPartsMax)
    return `a model may have up to ${modelPartsMax} parts, not ${count}`
  return Array.from({ length: count }, (_, index) => partName(prefix, index + 1, count))
}

/** What a split model is known by: the hash of its parts' hashes, a line each, in order. */
export const splitSha256 = (parts: readonly { readonly sha256: string }[]): string =>
  createHash('sha256')
    .update(parts.map(({ sha256 }) => `${sha256}\n`).join(''))
    .digest('hex')

/**
 * The header of a whole model: of a split one, the first part's metadata with all parts' tensors, at
 * offsets as if the parts lay behind one another: what is mapped of a layer is told from where it begins and ends.
 * @returns the header, or why a file is refused
 */
export function readModelHeader(path: string): GgufHeader | string {
  const paths = splitPaths(path)
  if (typeof paths === 'string') return paths
  const first = readGgufHeader(path)
  if (typeof first === 'string') return first
  const declared = first.metadata.get('split.count')
  if (typeof declared === 'number' && declared > 1 && declared !== paths?.length)
    return `this is one of ${declared} parts of a model; their names must end with -00001-of-${String(declared).padStart(5, '0')}.gguf and so on, all in one folder`
  if (paths === null) return first
  const tensors = [...first.tensors]
  let { fileBytes } = first
  for (const [index, part] of paths.slice(1).entries()) {
    const header = readGgufHeader(part)
    if (typeof header === 'string') return `part ${index + 2} of ${paths.length}: ${header}`
    for (const tensor of header.tensors)
      tensors.push({ ...tensor, offsetBytes: tensor.offsetBytes + fileBytes })
    fileBytes += header.fileBytes
  }
  return { ...first, tensors, fileBytes }
}

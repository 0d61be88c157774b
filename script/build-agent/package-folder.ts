/**
 * The folder of the package that a file belongs to; null for a file that lies in no node_modules.
 * @param separator of the path: `/` in a pack
 */
export function packageFolder(path: string, separator: string): string | null {
  const marker = `node_modules${separator}`
  const at = path.lastIndexOf(marker)
  if (at === -1) return null
  const from = at + marker.length
  const [scope = '', name = ''] = path.slice(from).split(separator)
  return path.slice(0, from) + (scope.startsWith('@') ? `${scope}${separator}${name}` : scope)
}

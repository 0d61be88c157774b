import type { PackageLicense } from './package-license.ts'

const rule = '='.repeat(100)

/**
 * The licence texts of a program's parts as one text. Parts with the same text share it; the order is that of the names, so
 * that the same parts give the same bytes.
 */
export function formatLicenses(title: string, parts: readonly PackageLicense[]): string {
  const byText = new Map<string, Set<string>>()
  for (const { name, version, license, text } of parts.toSorted(compare)) {
    const heads = byText.get(text) ?? new Set()
    heads.add(`${name} ${version} (${license})`)
    byText.set(text, heads)
  }
  const sections = [...byText].map(
    ([text, heads]) => `${rule}\n${[...heads].join('\n')}\n\n${text.trim()}\n`,
  )
  return `${title}\n\n${sections.join('\n')}`
}

const compare = (a: PackageLicense, b: PackageLicense): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : a.version < b.version ? -1 : 1

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { knownLicenses, type KnownLicense } from './known-licenses.ts'

/** What one part of the program is licensed under. */
export type PackageLicense = {
  readonly name: string
  readonly version: string
  /** As the package says it, for example `MIT`. */
  readonly license: string
  readonly text: string
}

/** Names under which packages carry their licence texts. */
export const licenseFile = /^(?:un)?(?:licen[cs]e|copying|notice)(?:[.-].*)?$/i

type Manifest = {
  readonly name: string
  readonly version: string
  readonly license?: unknown
  readonly licenses?: readonly { readonly type?: string }[]
}

/**
 * Reads what a package says about its licence.
 * @param files the files in the package's own folder, by name
 * @param known of packages that carry no text
 * @throws Error when there is no licence, no text of it, or another licence than the one that is known
 */
export function packageLicense(
  files: ReadonlyMap<string, Uint8Array>,
  known: ReadonlyMap<string, KnownLicense> = knownLicenses,
): PackageLicense {
  const read = (name: string) => Buffer.from(files.get(name) ?? []).toString('utf8')
  const manifest: Manifest = JSON.parse(read('package.json'))
  const { name, version } = manifest
  const license = declared(manifest)
  const texts = [...files.keys()].filter(file => licenseFile.test(file)).toSorted()
  const text = texts
    .map(read)
    .map(each => each.replaceAll('\r\n', '\n').trim())
    .filter(each => each !== '')
    .join('\n\n')
  if (text !== '') return { name, version, license: license ?? 'see below', text }
  const exception = known.get(name)
  if (exception === undefined)
    throw new Error(
      `${name} ${version} (${license ?? 'no licence named'}) carries no licence text, so it may not travel in the executable; where its text is known, add it to knownLicenses in script/build-agent/known-licenses.ts and say where it was found`,
    )
  if (exception.license !== license)
    throw new Error(
      `${name} ${version} is licensed under ${license ?? 'nothing'} now, and knownLicenses has ${exception.license}`,
    )
  return { name, version, license, text: exception.text.trim() }
}

/** Older packages list several. */
function declared({ license, licenses = [] }: Manifest): string | null {
  if (typeof license === 'string' && license !== '') return license
  return licenses.map(({ type }) => type).join(' OR ') || null
}

/** The files of a folder that `packageLicense` wants. */
export function filesOfPackage(folder: string): ReadonlyMap<string, Uint8Array> {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(({ name }) => name)
    .filter(name => name === 'package.json' || licenseFile.test(name))
  return new Map(names.map(name => [name, readFileSync(join(folder, name))]))
}

import { expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { knownLicenses, type KnownLicense } from './known-licenses.ts'
import { filesOfPackage, packageLicense } from './package-license.ts'

const encoder = new TextEncoder()
const files = (manifest: object, texts: Readonly<Record<string, string>> = {}) =>
  new Map(
    Object.entries({
      'package.json': JSON.stringify({ name: 'left', version: '1.2.3', ...manifest }),
      ...texts,
    }).map(([name, text]) => [name, encoder.encode(text)]),
  )

test.each([['LICENSE'], ['License'], ['LICENCE.txt'], ['license.md'], ['COPYING'], ['UNLICENSE']])(
  'a text in %s is taken',
  name => {
    expect(
      packageLicense(files({ license: 'MIT' }, { [name]: 'be free\r\n', 'a.js': '' })),
    ).toEqual({ name: 'left', version: '1.2.3', license: 'MIT', text: 'be free' })
  },
)

test('several texts and a notice all come along', () => {
  const texts = { 'LICENSE.MIT': 'mit', 'LICENSE-APACHE': 'apache', NOTICE: 'mind', README: 'no' }
  const { text, license } = packageLicense(
    files({ licenses: [{ type: 'MIT' }, { type: 'Apache-2.0' }] }, texts),
  )
  expect(text.split('\n\n').toSorted()).toEqual(['apache', 'mind', 'mit'])
  expect(license).toBe('MIT OR Apache-2.0')
})

test('without a text the build fails and says what to do', () => {
  expect(() => packageLicense(files({ license: 'MIT' }, { LICENSE: ' \n' }))).toThrow(
    'left 1.2.3 (MIT) carries no licence text, so it may not travel in the executable',
  )
  expect(() => packageLicense(files({}))).toThrow('known-licenses.ts')
})

test('a known text stands in, as long as the licence is the known one', () => {
  const known = new Map<string, KnownLicense>([['left', { license: 'MIT', text: 'known' }]])
  expect(packageLicense(files({ license: 'MIT' }), known).text).toBe('known')
  expect(packageLicense(files({ license: 'MIT' }, { LICENSE: 'own' }), known).text).toBe('own')
  expect(() => packageLicense(files({ license: 'GPL-3.0' }), known)).toThrow('GPL-3.0 now')
})

test('every known text names its holder and its terms', () => {
  for (const { text } of knownLicenses.values()) {
    expect(text).toStartWith('Copyright (c) ')
    expect(text).toContain('Permission is hereby granted')
  }
})

test('of a folder only what matters is read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpupool-license-'))
  try {
    mkdirSync(join(folder, 'license-of-others'))
    for (const name of ['package.json', 'LICENSE', 'index.js'])
      writeFileSync(join(folder, name), '')
    expect([...filesOfPackage(folder).keys()].toSorted()).toEqual(['LICENSE', 'package.json'])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

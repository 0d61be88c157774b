import { expect, test } from 'bun:test'
import { executableLicenses, libraryLicenses, packLicenses } from './collect-licenses.ts'
import { formatLicenses } from './format-licenses.ts'
import { packageFolder } from './package-folder.ts'

const pack = (texts: Readonly<Record<string, string>>) =>
  new Map(Object.entries(texts).map(([path, text]) => [path, new TextEncoder().encode(text)]))
const manifest = (name: string) => JSON.stringify({ name, version: '1.0.0', license: 'MIT' })
const metadata = JSON.stringify({ buildOptions: { llamaCpp: { release: 'v7' } } })

const small = pack({
  'worker/main.js': '',
  'node_modules/a/package.json': manifest('a'),
  'node_modules/a/LICENSE': 'text of a',
  'node_modules/a/dist/LICENSE': 'not the package’s',
  'node_modules/a/node_modules/b/package.json': manifest('b'),
  'node_modules/a/node_modules/b/license': 'text of b',
  'node_modules/@s/c/package.json': manifest('@s/c'),
  'node_modules/@s/c/LICENSE': 'text of c',
  'node_modules/@s/c/bins/_nlcBuildMetadata.json': metadata,
})

test('every package in a pack is found, also inside of another', () => {
  expect(packLicenses(small).map(({ name, text }) => [name, text])).toEqual([
    ['a', 'text of a'],
    ['b', 'text of b'],
    ['@s/c', 'text of c'],
  ])
})

test('a package in a pack without a text fails', () => {
  const bare = pack({ 'node_modules/a/package.json': manifest('a'), 'node_modules/a/a.js': '' })
  expect(() => packLicenses(bare)).toThrow('a 1.0.0 (MIT) carries no licence text')
})

test('the executable’s text has gpupool, Bun, llama.cpp, what is bundled and what is packed', async () => {
  const text = await executableLicenses(small)
  const parts = [
    /^gpupool \S+ \(Apache-2\.0\)$/m,
    new RegExp(`^Bun ${Bun.version} `, 'm'),
    /^llama\.cpp v7 \(MIT\)$/m,
    /^pino \S+ \(MIT\)$/m,
    /^systeminformation \S+ \(MIT\)$/m,
    /^@huggingface\/jinja \S+ \(MIT\)$/m,
    /^@s\/c 1\.0\.0 \(MIT\)$/m,
  ]
  for (const part of parts) expect(text).toMatch(part)
  for (const words of [
    'GNU LIBRARY GENERAL PUBLIC LICENSE',
    'Copyright (c) 2023-2026 The ggml authors',
    'Apache License',
    'text of b',
  ])
    expect(text).toContain(words)
  expect(text).not.toContain('elysia')
})

test('a pack of libraries says what it was built of', () => {
  expect(libraryLicenses(small)).toContain('llama.cpp v7 (MIT)')
  expect(() => libraryLicenses(pack({}))).toThrow('do not say what they are built of')
})

test('the same text stands once, and the order is always the same', () => {
  const part = (name: string, text: string) => ({ name, version: '1', license: 'MIT', text })
  const parts = [part('b', 'x'), part('a', 'x'), part('c', 'y'), part('a', 'x')]
  const text = formatLicenses('Title', parts)
  expect(text).toBe(formatLicenses('Title', parts.toReversed()))
  expect(text.match(/^x$/gm)).toHaveLength(1)
  expect(text).toContain('a 1 (MIT)\nb 1 (MIT)\n\nx\n')
})

test.each([
  ['/p/node_modules/a/b.js', '/p/node_modules/a'],
  ['/p/node_modules/a/node_modules/@s/c/d/e.js', '/p/node_modules/a/node_modules/@s/c'],
  ['/p/src/a.ts', null],
])('%s belongs to %p', (path, folder) => {
  expect(packageFolder(path, '/')).toBe(folder)
})

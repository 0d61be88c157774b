import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isExactVersion, lifecycleScripts, lineRules } from './support/tidy-rules.ts'

/**
 * House rules that no linter knows, each with its reason. The import rules are in .oxlintrc.json, where the editor shows
 * them.
 */
const root = join(import.meta.dir, '..')
const folders = ['src', 'test', 'script', 'bench', 'simulator', 'tools', 'native', '.ci']
const linesMax = 400

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(path)
    return entry.isFile() ? [path] : []
  })
}

/** A lock that programs write; and in a worktree .git is a file that names its place on this machine. */
const notOurs: readonly string[] = ['bun.lock', '.git']
const rootFiles = readdirSync(root, { withFileTypes: true })
  .filter(entry => entry.isFile() && !notOurs.includes(entry.name))
  .map(entry => entry.name)
const paths = [
  ...rootFiles,
  ...folders.filter(folder => existsSync(join(root, folder))).flatMap(filesBelow),
]

/** The rules name what they ban. */
const rulesFile = 'test/support/tidy-rules.ts'

/** Text files only: a byte 0 is in no text. */
const texts = new Map(
  paths
    .map(path => [path, readFileSync(join(root, path), 'utf8')] as const)
    .filter(([, text]) => !text.includes('\0')),
)

type Manifest = {
  readonly scripts?: Record<string, string>
  readonly trustedDependencies?: readonly string[]
  readonly dependencies?: Record<string, string>
  readonly devDependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
}
const manifests = [...texts]
  .filter(([path]) => /^(?:package\.json|(?:native|tools)\/[^/]+\/package\.json)$/.test(path))
  .map(([path, text]): [string, Manifest] => [path, JSON.parse(text)])

describe.each(lineRules)('$name', rule => {
  test('holds in every file', () => {
    const broken = [...texts]
      .filter(([path]) => path !== rulesFile && rule.applies(path))
      .flatMap(([path, text]) =>
        text
          .split('\n')
          .flatMap((line, index) =>
            rule.banned.test(line) ? [`${path}:${index + 1} ${line.trim()}`] : [],
          ),
      )
    expect(broken, rule.reason).toEqual([])
  })

  test('would be noticed', () => {
    expect(rule.banned.test(rule.example)).toBe(true)
    expect([...texts.keys()].some(rule.applies)).toBe(true)
  })
})

test(`no source file is longer than ${linesMax} lines`, () => {
  const long = [...texts]
    .filter(([path]) => /\.(?:ts|mjs)$/.test(path))
    .map(([path, text]) => ({ path, lines: text.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > linesMax)
  expect(long, 'one file, one idea: take a part out and name a file after it').toEqual([])
})

describe('dependencies', () => {
  test('bun.lock names no registry', () => {
    const lock = readFileSync(join(root, 'bun.lock'), 'utf8')
    expect(
      lock.split('\n').filter(line => /https?:\/\/|registry\./.test(line)),
      'packages come from the registry that npm is configured for here; hashes say whether they are the right ones',
    ).toEqual([])
  })

  test('every version is exact', () => {
    const inexact = manifests.flatMap(([path, { dependencies, devDependencies, ...rest }]) =>
      Object.entries({ ...dependencies, ...devDependencies, ...rest.optionalDependencies })
        .filter(([, version]) => !isExactVersion(version))
        .map(([name, version]) => `${path}: ${name} ${version}`),
    )
    expect(inexact, 'an upgrade is a commit of its own, never a surprise').toEqual([])
    expect(isExactVersion('1.4.5')).toBe(true)
    expect(isExactVersion('^1.4.5')).toBe(false)
    expect(isExactVersion('latest')).toBe(false)
  })

  test('no lifecycle script runs at install time, theirs or ours', () => {
    const runs = manifests.flatMap(([path, { trustedDependencies = [], scripts = {} }]) => [
      ...trustedDependencies.map(name => `${path} trusts ${name}`),
      ...lifecycleScripts.filter(name => name in scripts).map(name => `${path} has ${name}`),
    ])
    expect(runs, 'install scripts are how worms travel through npm').toEqual([])
  })
})

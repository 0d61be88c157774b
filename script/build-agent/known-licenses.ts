import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './root.ts'

/** A licence whose text does not come with what it is for. */
export type KnownLicense = {
  readonly license: string
  readonly text: string
}

const ownText = (name: string): string =>
  readFileSync(join(import.meta.dir, 'license-texts', name), 'utf8')

const mit = (copyright: string): KnownLicense => ({
  license: 'MIT',
  text: `${copyright}\n\n${ownText('mit.txt')}`,
})

/**
 * Packages that declare a licence and carry no text of it, each with where the copyright notice was found. A package that
 * is not here and has no text fails the build.
 */
export const knownLicenses: ReadonlyMap<string, KnownLicense> = new Map([
  // LICENSE of their repository, https://github.com/steveukx/git-js, which the packages leave out.
  ['simple-git', mit('Copyright (c) 2025 Steve King')],
  ['@simple-git/argv-parser', mit('Copyright (c) 2025 Steve King')],
])

/** gpupool's own. */
export const ownLicense = (): string => readFileSync(join(root, 'LICENSE'), 'utf8')

/** What the executable is made of beside packages with a licence file. */
export const bunLicense = (): KnownLicense => ({
  license: 'MIT; JavaScriptCore: LGPL-2.0',
  text: ['bun.txt', 'mit.txt', 'lgpl-2.txt', 'lgpl-2.1.txt'].map(ownText).join('\n'),
})

/** llama.cpp, which is in the native libraries of node-llama-cpp; their packages carry node-llama-cpp's licence alone. */
export const llamaCppLicense = (): KnownLicense => ({
  license: 'MIT',
  text: `${ownText('llama.cpp.txt')}${ownText('mit.txt')}`,
})

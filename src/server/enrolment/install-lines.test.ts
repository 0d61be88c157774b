import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { haveForTests } from '../../../test/support/needed-programs.ts'
import type { OfferedFile } from '../download/download-files.ts'
import { installLines } from './install-lines.ts'
import { joinPage, joinPageHeaders } from './join-page.ts'

/** Stands for the agent: writes down how it was called. */
const program = '#!/bin/sh\necho "$@" >> called\n'
const sha256 = new Bun.CryptoHasher('sha256').update(program).digest('hex')
const offered = (target: string, hash = sha256): OfferedFile => ({
  name: `gpupool-agent-${target}${target === 'windows-x64' ? '.exe' : ''}`,
  target,
  kind: 'agent',
  sizeBytes: program.length,
  sha256: hash,
})
const all = ['linux-x64', 'linux-arm64', 'windows-x64', 'darwin-arm64', 'darwin-x64']

let folder: string
let pool: Bun.Server<undefined>
let link: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpupool-line-'))
  pool = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: request =>
      new URL(request.url).pathname.startsWith('/download/gpupool-agent-')
        ? new Response(program)
        : new Response('', { status: 404 }),
  })
  link = `${pool.url.origin}/join/gpt_enr_0123456789abcdef#ca=${'a'.repeat(43)}`
})
afterEach(async () => {
  await pool.stop(true)
  rmSync(folder, { recursive: true, force: true })
})

async function paste(line: string | null): Promise<number> {
  const shell = Bun.spawn(['sh', '-c', line ?? ''], {
    cwd: folder,
    stdout: 'ignore',
    stderr: 'ignore',
  })
  return await shell.exited
}

/** What the line itself is made of. */
const canPaste = process.platform === 'linux' && haveForTests('curl', 'sha256sum')

describe.skipIf(!canPaste)('the line for Linux', () => {
  test('fetches, checks, joins and runs', async () => {
    const { linux } = installLines(
      link,
      all.map(target => offered(target)),
    )
    expect(await paste(linux)).toBe(0)
    expect(readFileSync(join(folder, 'called'), 'utf8')).toBe(`join ${link}\nrun\n`)
  })

  test('runs nothing of a file that is not the right one', async () => {
    const { linux } = installLines(link, [
      offered('linux-x64', '0'.repeat(64)),
      offered('linux-arm64', '1'.repeat(64)),
    ])
    expect(await paste(linux)).not.toBe(0)
    expect(existsSync(join(folder, 'called'))).toBe(false)
  })

  test('runs nothing when the server has no file', async () => {
    await pool.stop(true)
    expect(await paste(installLines(link, [offered('linux-x64')]).linux)).not.toBe(0)
    expect(existsSync(join(folder, 'called'))).toBe(false)
  })
})

test('there is a line for each system that there is an executable for', () => {
  const { linux, macos, windows } = installLines(link, [
    offered('linux-arm64'),
    offered('windows-x64'),
  ])
  expect(linux).toContain('gpupool-agent-linux-arm64')
  expect(linux).not.toContain('uname')
  expect(macos).toBeNull()
  expect(windows).toContain(`-eq '${sha256}'`)
})

describe('the page', () => {
  const facts = (files: readonly OfferedFile[]) => ({ link, caFingerprint: 'a'.repeat(43), files })

  test('shows every line, the link whole and nothing unescaped', () => {
    const page = joinPage(facts(all.map(target => offered(target))))
    for (const name of ['Linux', 'macOS', 'Windows']) expect(page).toContain(`<h2>${name},`)
    expect(page).toContain(link)
    expect(page).toContain('&#38;&#38;')
  })

  test('says what to do where no executables were built', () => {
    expect(joinPage(facts([]))).toContain('bun run agent join')
  })

  test('runs its own script and no other', () => {
    const page = joinPage(facts([]))
    const script = /<script>([^]*?)<\/script>/.exec(page)?.[1] ?? ''
    const hash = new Bun.CryptoHasher('sha256').update(script).digest('base64')
    expect(joinPageHeaders['content-security-policy']).toContain(`script-src 'sha256-${hash}'`)
  })
})

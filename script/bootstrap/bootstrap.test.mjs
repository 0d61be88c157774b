import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pruneDeadWeight } from './dead-weight.mjs'
import { privateFolder, withInstallLock } from './install-lock.mjs'
import { explain, helperFailed } from './problem.mjs'

let root
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'gpupool-bootstrap-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('the install lock', () => {
  test('lets a second start go on only when the first has finished', async () => {
    const order = []
    const gate = Promise.withResolvers()
    const first = withInstallLock(root, async () => {
      order.push('first begins')
      await gate.promise
      order.push('first ends')
    })
    const second = withInstallLock(root, async () => order.push('second begins'))
    gate.resolve()
    await Promise.all([first, second])
    expect(order).toEqual(['first begins', 'first ends', 'second begins'])
    expect(readdirSync(privateFolder(root))).toEqual([])
  })

  test('of a process that is gone is taken over', async () => {
    const gone = Bun.spawnSync([process.execPath, '-e', '0']).pid
    mkdirSync(privateFolder(root))
    writeFileSync(join(privateFolder(root), 'install.lock'), String(gone))
    expect(await withInstallLock(root, async () => 'installed')).toBe('installed')
  })

  test('is given back when the install fails', async () => {
    const failing = withInstallLock(root, () => Promise.reject(new Error('no')))
    await expect(failing).rejects.toThrow('no')
    expect(await withInstallLock(root, async () => 'installed')).toBe('installed')
  })
})

describe('a failure says what to do', () => {
  const causes = {
    'npm without a network': ['npm error code EAI_AGAIN', 'cannot be reached'],
    'Bun without a network': [
      'error: DNSResolveFailed downloading tarball ms@2.1.3',
      'cannot be reached',
    ],
    'a full disk': ['ENOSPC: failed copying files from cache', 'the disk is full'],
    'a folder of somebody else': ['EACCES: permission denied, open', 'cannot be written'],
    'a lock file of another package.json': [
      'error: lockfile had changes, but lockfile is frozen',
      'bun.lock',
    ],
  }
  test.each(Object.entries(causes))('%s', (_, [output, advice]) => {
    expect(explain(helperFailed('it failed', output), root)).toContain(advice)
  })

  test('at most a few lines of what the helper printed are repeated', () => {
    const output = Array.from({ length: 500 }, (_, line) => `error ${line}`).join('\n')
    expect(explain(helperFailed('it failed', output), root).split('\n').length).toBeLessThan(10)
  })
})

test('dead weight goes, everything else stays', () => {
  const files = {
    'node-llama-cpp/llama/gitRelease.bundle': false,
    'node-llama-cpp/llama/binariesGithubRelease.json': true,
    'openai/src/index.ts': false,
    'openai/index.mjs': true,
    'openai/index.mjs.map': false,
    '@scope/name/dist/deep/a.d.ts.map': false,
    '@scope/name/dist/deep/world.map': true,
  }
  for (const path of Object.keys(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), '')
  }
  pruneDeadWeight(root)
  for (const [path, stays] of Object.entries(files))
    expect([path, existsSync(join(root, path))]).toEqual([path, stays])
})

describe('signals', () => {
  const child = `process.on('SIGINT', () => console.log('INT'));
    process.on('SIGTERM', () => { console.log('TERM'); process.exit(7) });
    console.log('up'); setInterval(() => {}, 1000)`
  const parent = `import { handOver, listenForSignals } from ${JSON.stringify(join(import.meta.dir, 'child.mjs'))}
    listenForSignals()
    process.exitCode = await handOver(process.execPath, ['-e', ${JSON.stringify(child)}], {})`

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])(
    '%s to us alone reaches the child as SIGTERM, and its exit code comes back',
    async signal => {
      const outer = Bun.spawn([process.execPath, '-e', parent], {
        stdout: 'pipe',
        stderr: 'inherit',
      })
      let printed = ''
      for await (const chunk of outer.stdout.pipeThrough(new TextDecoderStream())) {
        if (printed === '') outer.kill(signal)
        printed += chunk
      }
      expect(printed).toBe('up\nTERM\n')
      expect(await outer.exited).toBe(7)
    },
  )
})

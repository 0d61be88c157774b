/**
 * `npm run check:agents -- [--target NAME]… [FOLDER]`: looks at the executables of `npm run build:agent -- --all` and starts
 * those that this machine can start, the foreign ones under emulators: qemu-user for linux-arm64, Wine for windows-x64. As
 * root on Debian it installs what is missing. Says what really ran; ends with 1 when something is wrong.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { readCudaPin } from './build-agent/cuda-pack.ts'
import { sha256Hex } from './build-agent/make-pack.ts'
import { root } from './build-agent/root.ts'
import { targets, type Target } from './build-agent/targets.ts'

type Emulator = {
  readonly packages: readonly string[]
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const native: Emulator = { packages: [], command: [], env: {} }
const emulators: Readonly<Record<string, Emulator>> = {
  'linux-arm64': {
    packages: ['qemu-user-static', 'libc6-arm64-cross'],
    command: ['/usr/bin/qemu-aarch64-static'],
    env: { QEMU_LD_PREFIX: '/usr/aarch64-linux-gnu' },
  },
  'windows-x64': {
    packages: ['wine', 'wine64'],
    command: ['/usr/bin/wine'],
    env: { WINEDEBUG: '-all,err+module' },
  },
}
/** What `file` says of each format. */
const formats: Readonly<Record<string, RegExp>> = {
  'linux-x64': /ELF 64-bit LSB .*x86-64/,
  'linux-arm64': /ELF 64-bit LSB .*ARM aarch64/,
  'windows-x64': /PE32\+ executable .*x86-64/,
  'darwin-arm64': /Mach-O 64-bit .*arm64/,
  'darwin-x64': /Mach-O 64-bit .*x86_64/,
}
/** Wine 8, Debian 12's, lacks bcryptprimitives.dll. */
const emulatorLacks = /Library (\S+) \(which is needed by [^)]*gpupool-agent[^)]*\) not found/
const executableBytesMax = 160e6
const emulatedTimeoutMs = 180_000

const { values: wanted, positionals } = parseArgs({
  options: { target: { type: 'string', multiple: true, default: [] } },
  allowPositionals: true,
})
const folder = resolve(positionals[0] ?? join(root, 'dist', 'agent'))
const chosen = targets.filter(
  ({ name }) => wanted.target.length === 0 || wanted.target.includes(name),
)
const problems: string[] = []

/** @returns whether the program is there now */
function ensure(program: string, packages: readonly string[]): boolean {
  if (existsSync(program)) return true
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return false
  console.log(`  installing ${packages.join(' and ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['apt-get', 'install', '-q', '-y', '--no-install-recommends', ...packages]
  Bun.spawnSync(['apt-get', 'update', '-q'], { env, stdout: 'ignore', stderr: 'ignore' })
  Bun.spawnSync(install, { env, stdout: 'ignore', stderr: 'inherit' })
  return existsSync(program)
}

function start(target: Target, path: string): void {
  const isHost = target.os === process.platform && target.cpu === process.arch
  const emulator = isHost ? native : emulators[target.name]
  if (emulator === undefined) {
    console.log('  not started: there is no emulator for it here')
    return
  }
  const [program] = emulator.command
  if (program !== undefined && !ensure(program, emulator.packages)) {
    console.log(`  not started: needs ${emulator.packages.join(' and ')}`)
    return
  }
  for (const args of [['version'], ['probe', '--json']]) {
    const { out, ok } = run([...emulator.command, path, ...args], emulator.env)
    const lacks = emulatorLacks.exec(out)?.[1]
    if (lacks !== undefined) {
      console.log(`  not started: ${program} has no ${lacks}, which Bun needs`)
      return
    }
    console.log(`  ${[...emulator.command, target.fileName, ...args].join(' ')}`)
    console.log(out.trimEnd().replace(/^/gm, '    '))
    if (!ok) problems.push(`${target.fileName} ${args.join(' ')} failed`)
  }
}

/** In an empty home of its own. */
function run(command: readonly string[], env: Readonly<Record<string, string>>) {
  const home = mkdtempSync(join(tmpdir(), 'gpupool-target-'))
  try {
    const child = Bun.spawnSync([...command], {
      cwd: home,
      env: { PATH: '/usr/bin:/bin', HOME: home, ...env },
      stdin: 'ignore',
      timeout: emulatedTimeoutMs,
    })
    const said = `${child.stdout.toString()}${child.stderr.toString()}`
    const out = child.exitCode === null ? `${said}(ended by ${child.signalCode})` : said
    return { out, ok: child.exitCode === 0 }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** That the file is for the machine that it is named after. */
function checkFormat(target: Target, path: string): void {
  if (!ensure('/usr/bin/file', ['file'])) {
    console.log('  format not looked at: needs file')
    return
  }
  const { out } = run(['/usr/bin/file', '-b', path], {})
  console.log(`  ${out.trim()}`)
  if (!formats[target.name]?.test(out)) problems.push(`${target.fileName} is not what it should be`)
}

/** That an agent will take the CUDA libraries that lie beside it, and no others. */
function checkCuda(target: Target, path: string): void {
  const pin = readCudaPin(target, folder)
  if (pin === null) {
    if (target.cudaWorkspace !== null) console.log('  CUDA: none was packed (--cuda)')
    return
  }
  const archive = readFileSync(join(folder, pin.fileName))
  console.log(`  CUDA: ${pin.fileName}, ${(archive.length / 1e6).toFixed(1)} MB, ${pin.sha256}`)
  if (sha256Hex(archive) !== pin.sha256)
    problems.push(`${pin.fileName} is not the one that was pinned`)
  if (!readFileSync(path).includes(pin.sha256))
    problems.push(`${target.fileName} does not name ${pin.fileName} by its hash`)
}

const unknown = wanted.target.filter(name => !targets.some(target => target.name === name))
for (const name of unknown) problems.push(`there is no target "${name}"`)
for (const target of chosen) {
  const path = join(folder, target.fileName)
  if (!existsSync(path)) {
    problems.push(`${path} is missing; run npm run build:agent -- --all`)
    continue
  }
  const { size } = statSync(path)
  console.log(`${target.fileName}  ${(size / 1e6).toFixed(1)} MB`)
  if (size > executableBytesMax) problems.push(`${target.fileName} is larger than 160 MB`)
  checkFormat(target, path)
  checkCuda(target, path)
  start(target, path)
}
for (const problem of problems) console.log(`PROBLEM ${problem}`)
process.exitCode = problems.length === 0 ? 0 : 1

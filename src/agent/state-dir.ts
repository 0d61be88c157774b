import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { AgentIdSchema } from '../protocol/ids.ts'
import { generateAgentKey } from './agent-keys.ts'

/** What an agent remembers of its enrolment (`agent.json`). The API key in it is why the file has mode 0600. */
const IdentitySchema = Type.Object({
  agentId: AgentIdSchema,
  /** Origin of the pool's enrolment listener; relative model URLs are resolved against it. */
  origin: Type.String({ pattern: '^https://' }),
  controlPort: Type.Integer({ minimum: 1, maximum: 65_535 }),
  caFingerprint: Type.String({ minLength: 1 }),
  apiKey: Type.String({ minLength: 1 }),
  name: Type.String({ minLength: 1 }),
  region: Type.Union([Type.String(), Type.Null()]),
})
export type Identity = Static<typeof IdentitySchema>
const identityCheck = Compile(IdentitySchema)

/** Everything that `run` needs of the state directory. */
export type Enrolment = {
  readonly identity: Identity
  readonly privateKeyPem: string
  readonly caPem: string
}

/** Where the state lives on this operating system, when GPUPOOL_AGENT_DIR does not say otherwise. */
export function defaultStateDir(
  environment: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
  home: string = homedir(),
): string {
  const chosen = environment['GPUPOOL_AGENT_DIR']
  if (chosen !== undefined && chosen !== '') return chosen
  if (platform === 'win32')
    return join(environment['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local'), 'gpupool-agent')
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'gpupool-agent')
  return join(environment['XDG_STATE_HOME'] || join(home, '.local', 'state'), 'gpupool-agent')
}

export const modelsDirOf = (dir: string): string => join(dir, 'models')

/**
 * Makes the state directory, for its owner alone.
 * @throws when the place cannot be written; the text names the directory
 */
export function prepareStateDir(dir: string): void {
  attempt(`the state directory ${dir} cannot be made`, () => {
    mkdirSync(modelsDirOf(dir), { recursive: true, mode: 0o700 })
    chmodSync(dir, 0o700)
  })
}

/**
 * @returns the enrolment in the directory, or undefined when this machine has not joined a pool
 * @throws when there is one that cannot be read or makes no sense
 */
export function readEnrolment(dir: string): Enrolment | undefined {
  const text = readIfThere(join(dir, 'agent.json'))
  if (text === undefined) return undefined
  const identity = parseIdentity(text)
  const privateKeyPem = readIfThere(join(dir, 'key.pem'))
  const caPem = readIfThere(join(dir, 'ca.pem'))
  if (identity === undefined || privateKeyPem === undefined || caPem === undefined)
    throw new StateError(
      `the state in ${dir} is damaged; run "leave" and join the pool again with a new link`,
    )
  return { identity, privateKeyPem, caPem }
}

/** @returns the key in the directory, made now when there is none */
export function readOrMakeKey(dir: string): string {
  const path = join(dir, 'key.pem')
  const existing = readIfThere(path)
  if (existing !== undefined) return existing
  const key = generateAgentKey()
  writeAtomically(path, key)
  return key
}

/** Writes the enrolment; `agent.json` comes last, so that a crash leaves either the old state or the new one. */
export function writeEnrolment(dir: string, identity: Identity, caPem: string): void {
  writeAtomically(join(dir, 'ca.pem'), caPem)
  writeAtomically(join(dir, 'agent.json'), `${JSON.stringify(identity, null, 2)}\n`)
}

/** Forgets the pool: identity, key and CA. Model files stay, they may be large and useful again. */
export function removeEnrolment(dir: string): void {
  attempt(`the state in ${dir} cannot be removed`, () => {
    for (const name of ['agent.json', 'key.pem', 'ca.pem']) rmSync(join(dir, name), { force: true })
  })
}

/** Something is wrong with the state directory; the text is for the owner of the machine. */
export class StateError extends Error {
  override readonly name = 'StateError'
}

/** Writes a file of mode 0600 so that it is there whole or not at all, also after a power cut. */
export function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.new`
  attempt(`${path} cannot be written`, () => {
    rmSync(temporary, { force: true })
    const file = openSync(temporary, 'wx', 0o600)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  })
}

function parseIdentity(text: string): Identity | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return identityCheck.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw new StateError(`${path} cannot be read: ${explainFileError(error)}`)
  }
}

function attempt(what: string, action: () => void): void {
  try {
    action()
  } catch (error) {
    throw new StateError(`${what}: ${explainFileError(error)}`)
  }
}

const errorCode = (error: unknown): unknown =>
  error instanceof Error ? Reflect.get(error, 'code') : undefined

/** What went wrong with a file, in words for the owner of the machine. */
export function explainFileError(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOSPC':
      return 'the disk is full'
    case 'EDQUOT':
      return 'the disk quota is used up'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    case 'EROFS':
      return 'the file system is read-only'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}

import { join, resolve } from 'node:path'

/** Where a run keeps its things, and the environment of its server. */
export type Place = {
  readonly dataDir: string
  readonly agentDir: string
  readonly serverLog: string
  readonly agentLog: string
  readonly serverEnv: Readonly<Record<string, string | undefined>>
}

type Environment = Readonly<Record<string, string | undefined>>

const inFolder = (dataDir: string, serverEnv: Environment): Place => ({
  dataDir,
  agentDir: join(dataDir, 'agent'),
  serverLog: join(dataDir, 'logs', 'server.log'),
  agentLog: join(dataDir, 'logs', 'agent.log'),
  serverEnv: { ...serverEnv, GPUPOOL_DATA_DIR: dataDir },
})

export const dataDirOf = (env: Environment): string =>
  resolve(env['GPUPOOL_DATA_DIR'] || '.gpupool')

/** The pool that stays: every setting of the server is the operator's. */
export const lastingPlace = (env: Environment): Place => inFolder(dataDirOf(env), env)

/** A pool for one question: free ports on this machine alone, its own database and key. */
export const oncePlace = (env: Environment, folder: string): Place =>
  inFolder(folder, {
    ...env,
    GPUPOOL_HOST: '127.0.0.1',
    GPUPOOL_PORT: '0',
    GPUPOOL_AGENT_HOST: '127.0.0.1',
    GPUPOOL_AGENT_PORT: '0',
    GPUPOOL_PUBLIC_URL: undefined,
    GPUPOOL_ADMIN_KEY: undefined,
    GPUPOOL_TLS_PROXY: undefined,
    GPUPOOL_HEDGE: undefined,
    DATABASE_URL: undefined,
  })

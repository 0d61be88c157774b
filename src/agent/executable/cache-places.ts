import { join } from 'node:path'

/** What decides where the cache is. */
export type CacheSurroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly platform: NodeJS.Platform
  /** Empty when it is not known. */
  readonly home: string
  readonly stateDir: string
}

/**
 * Where unpacked files may lie, best first: where the owner says, else the system's place for caches, else the agent's
 * own folder (a home directory may be missing or read-only, as under many service managers).
 */
export function cachePlaces({
  environment,
  platform,
  home,
  stateDir,
}: CacheSurroundings): readonly string[] {
  const chosen = environment['GPUPOOL_AGENT_CACHE_DIR']
  if (chosen !== undefined && chosen !== '') return [chosen]
  const system = systemCacheDir(environment, platform, home)
  const own = join(stateDir, 'cache')
  return system === null ? [own] : [join(system, 'gpupool-agent'), own]
}

function systemCacheDir(
  environment: CacheSurroundings['environment'],
  platform: NodeJS.Platform,
  home: string,
): string | null {
  if (platform === 'win32')
    return environment['LOCALAPPDATA'] || (home && join(home, 'AppData', 'Local')) || null
  if (platform === 'darwin') return home === '' ? null : join(home, 'Library', 'Caches')
  const xdg = environment['XDG_CACHE_HOME']
  // The specification: a relative path in it is to be ignored.
  if (xdg?.startsWith('/')) return xdg
  return home === '' ? null : join(home, '.cache')
}
